/**
 * The bank on three real nodes, driven through their prompts as its README tells.
 *
 * @module
 */
import { ExampleNodes } from "../harness/example_nodes.ts";
import { playTranscript } from "../harness/prompt_transcript.ts";

const README = await Deno.readTextFile(
  new URL("../../examples/accounts/README.md", import.meta.url),
);

Deno.test("accounts does what its README shows", async () => {
  await using nodes = await ExampleNodes.make("accounts");
  await playTranscript(README, nodes);
});
