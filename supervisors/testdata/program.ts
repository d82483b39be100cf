/**
 * A program that does what its first argument says, for tests of placements.
 *
 * @module
 */
import process from "node:process";
import type { Message, Program } from "../program.ts";

/** What {@linkcode program} can be told to do when it gets a message. */
export type Behaviour =
  | "echo"
  | "throw"
  | "throw in timer"
  | "reject"
  | "reject in handler"
  | "close"
  | "exit process"
  | "exit"
  | "loop"
  | "loop on start"
  | "throw on start"
  | "never start"
  | "throw on stop"
  | "never stop"
  | "report stop"
  | "print"
  | "garble"
  | "flood";

const text = (words: string): Message => new TextEncoder().encode(words);

const loop = (): never => {
  for (;;);
};

const program: Program = async (context) => {
  const behaviour = context.args as Behaviour;
  await Promise.resolve();
  if (behaviour === "throw on start") throw new RangeError("cannot even start");
  if (behaviour === "never start") await new Promise(() => {});
  if (behaviour === "loop on start") {
    context.send(text("it loops"));
    loop();
  }
  context.signal.addEventListener("abort", () => {
    if (behaviour === "report stop") context.send(text("signal"));
  });
  context.onMessage((message) => {
    switch (behaviour) {
      case "throw":
        throw Object.assign(new TypeError("sync"), { code: "E_SYNC" });
      case "throw in timer":
        setTimeout(() => {
          throw new TypeError("timer");
        }, 1);
        return;
      case "reject":
        Promise.reject(new TypeError("rejection"));
        return;
      case "reject in handler":
        return Promise.reject(new TypeError("late"));
      case "close":
        (globalThis as unknown as { close(): void }).close();
        return;
      case "exit process":
        return Deno.exit(7);
      case "exit":
        for (let i = 0; i < 500; i++) context.send(new Uint8Array(10_000));
        context.send(text("last word"));
        return context.exit({ type: "shutdown", detail: { tired: true } });
      case "loop":
        return loop();
      case "print":
        // deno-lint-ignore no-console -- what a program prints is what is tested
        console.log("to the console");
        // deno-lint-ignore no-console -- likewise
        console.table([{ a: 1 }]);
        Deno.stdout.writeSync(text("to stdout\n"));
        process.stdout.write("to node's stdout\n");
        break;
      case "garble":
        // No program does this by accident; a library in C might.
        Deno.writeFileSync("/dev/fd/1", text("words where messages belong"));
        return;
      case "flood":
        for (let i = 0; i < 100; i++) {
          context.send(new Uint8Array(100_000).fill(i));
        }
        return;
      default:
    }
    context.send(message);
  });
  return {
    async stop(reason) {
      if (behaviour === "throw on stop") throw new Error("will not stop well");
      if (behaviour === "never stop") await new Promise(() => {});
      if (behaviour === "report stop") {
        context.send(text(`stop ${JSON.stringify(reason)}`));
      }
    },
  };
};

export default program;
