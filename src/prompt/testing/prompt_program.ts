/**
 * A prompt on a store in memory, as a program, so that tests can type at it
 * through a pipe and through a terminal. The first argument is the file for its
 * history; SIGTERM ends the prompt.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import { Prompt } from "../prompt.ts";
import { fakeKv } from "./fake_kv.ts";

const ended = new AbortController();
Deno.addSignalListener("SIGTERM", () => ended.abort());
let signal: AbortSignal | undefined;
const isTerminal = Deno.stdin.isTerminal();
const prompt = new Prompt({
  label: "dev1",
  scope: {
    kv: fakeKv(),
    refuse: () =>
      Promise.reject(
        new WhorlError("overload", "Cannot take more", { details: { max: 9 } }),
      ),
    hang: () =>
      new Promise((_, reject) => {
        const given = signal!;
        given.addEventListener("abort", () => {
          prompt.printAbove("signal fired");
          reject(new WhorlError("cancelled", "Cannot go on"));
        });
      }),
  },
  help: "no help here",
  banner: "Welcome",
  ending: "ends it",
  isTerminal,
  color: false,
  signal: ended.signal,
  onCommand: (given) => void (signal = given),
  ...(Deno.args[0] === undefined ? {} : { historyPath: Deno.args[0] }),
});
Deno.exit(await prompt.run() ? 0 : 1);
