/**
 * Writes a value that makes a file grow into the Deno KV database that each
 * line of its input names, and says what came of it.
 *
 * @module
 */
import { textLines } from "../../harness/text_lines.ts";

const stores = new Map<string, Deno.Kv>();
for await (const path of textLines(Deno.stdin.readable)) {
  const store = stores.get(path) ?? await Deno.openKv(path);
  stores.set(path, store);
  const startedAt = performance.now();
  let error: string | undefined;
  try {
    for (let i = 0; i < 5; i++) {
      await store.set([crypto.randomUUID()], new Uint8Array(60_000));
    }
  } catch (cause) {
    error = (cause as Error).message;
  }
  const answer = {
    error,
    tookMs: performance.now() - startedAt,
    clockMs: Date.now(),
  };
  await Deno.stdout.write(
    new TextEncoder().encode(`${JSON.stringify(answer)}\n`),
  );
}
for (const store of stores.values()) store.close();
