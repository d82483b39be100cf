/**
 * A node with a prompt on it, as a program, so that tests can type at it through
 * a pipe. The prompt ends at once if the first argument is `aborted`.
 *
 * @module
 */
import { startNode } from "../../node/start_node.ts";
import { runPrompt } from "../run_prompt.ts";
import { withPromptText } from "../prompt_text.ts";

await using node = await startNode({
  name: "dev1@127.0.0.1",
  cookie: "cookie of the prompt's test",
  listen: "127.0.0.1:0",
  ringSize: 8,
  coordinatorPlacement: "task",
  masterPlacement: "task",
  masters: 1,
});
const options = {
  names: {
    greet: (who: string) => `Hello ${who}`,
    pair: () => withPromptText({ left: 1, right: 2 }, "1 and 2\n"),
    kvOfNode: node.kv,
    openAnother: () => runPrompt(node),
    nameTwice: () => runPrompt(node, { names: { kv: 1 } }),
  },
  help: "  greet(name)                                   say hello\n",
  banner: "not said to a pipe",
  onTerminal: (print: (text: string) => void) => {
    node.subscribe(({ type }) => print(`heard of ${type}`));
  },
};
const wentWell = Deno.args[0] === "aborted"
  ? await runPrompt(node, { ...options, signal: AbortSignal.abort() })
  : await runPrompt(node, options);
const said = wentWell ? "went well" : "something failed";
await Deno.stdout.write(new TextEncoder().encode(`${said}\n`));
