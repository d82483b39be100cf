/**
 * Writes the transcripts of `src/raft/testdata/` anew, with what their commands
 * lead to now. Keep only what you can explain.
 *
 *     deno run --allow-read --allow-write src/raft/testing/rewrite_transcripts.ts
 *
 * @module
 */
import { replay } from "./scripted_group.ts";

const folder = new URL("../testdata/", import.meta.url);
for (const { name } of Deno.readDirSync(folder)) {
  if (!name.endsWith(".txt")) continue;
  const file = new URL(name, folder);
  Deno.writeTextFileSync(file, replay(Deno.readTextFileSync(file)));
}
