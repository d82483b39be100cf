/**
 * Stories that people tell about Raft, as scripts with what they lead to: see
 * `testing/scripted_group.ts`. To write them anew after a change that is meant:
 *
 *     deno run --allow-read --allow-write src/raft/testing/rewrite_transcripts.ts
 */
import { assertEquals } from "@std/assert";
import { replay } from "./testing/scripted_group.ts";

const folder = new URL("testdata/", import.meta.url);

for (const { name } of [...Deno.readDirSync(folder)].sort(byName)) {
  if (!name.endsWith(".txt")) continue;
  const transcript = Deno.readTextFileSync(new URL(name, folder));
  Deno.test(`transcript: ${transcript.split("\n")[0]?.slice(2)}`, () => {
    assertEquals(replay(transcript), transcript);
  });
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}
