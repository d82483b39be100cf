/**
 * An operator's look at the stores of a node that does not run: whether SQLite
 * finds its own structure sound. A damaged page of an index can lie there for
 * long before anybody comes across it.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { reasonOf } from "../../src/base/errors.ts";

/** What is wrong with a store in `folder`, or `undefined`. Looks at copies, as SQLite would fold the WAL. */
export async function findFlaw(folder: string): Promise<string | undefined> {
  const copy = await Deno.makeTempDir({ prefix: "whorl-nemesis-" });
  try {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(folder)) {
      if (!/\.kv(-wal)?$/.test(name)) continue;
      await Deno.copyFile(`${folder}/${name}`, `${copy}/${name}`);
      if (name.endsWith(".kv")) names.push(name);
    }
    for (const name of names.sort()) {
      const flaw = flawOf(`${copy}/${name}`);
      if (flaw !== undefined) return `${name}: ${flaw}`;
    }
    return undefined;
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

function flawOf(path: string): string | undefined {
  try {
    const database = new DatabaseSync(path);
    try {
      const row = database.prepare("PRAGMA integrity_check(1)").get();
      const said = String(row?.integrity_check);
      return said === "ok" ? undefined : said.replaceAll("\n", " ");
    } finally {
      database.close();
    }
  } catch (error) {
    return reasonOf(error);
  }
}
