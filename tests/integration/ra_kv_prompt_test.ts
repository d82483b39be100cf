/**
 * The consistent store at the prompts of three nodes in processes of their own,
 * as docs/ra_kv.md tells it: results and failures in their shapes, reads at a
 * follower, snapshot, compaction, a killed node that comes back.
 *
 * @module
 */
import { ExampleNodes } from "../harness/example_nodes.ts";
import { consoleBlocks, playTranscript } from "../harness/prompt_transcript.ts";

const DOCUMENT = await Deno.readTextFile(
  new URL("../../docs/ra_kv.md", import.meta.url),
);

Deno.test("ra_kv does at prompts what its document shows", async () => {
  await using nodes = await ExampleNodes.make("rc_example");
  const section = DOCUMENT.split(/^(?=## )/m).find((part) =>
    part.startsWith("## At a prompt\n")
  );
  if (section === undefined || consoleBlocks(section).length === 0) {
    throw new Error("The document has no such section");
  }
  await playTranscript(section, nodes);
});
