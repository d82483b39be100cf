/**
 * `deno task upgrade`: upgrades a cluster of real processes from an earlier
 * version under load, rolls it back, and upgrades it again. See docs/capabilities.md.
 *
 * @module
 */
import { EARLIER_COMMIT, EarlierTree } from "./earlier_tree.ts";
import { runUpgrade } from "./upgrade.ts";

const KEYS = 5_000;
const REST_MS = 5_000;

function tell(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

async function main(): Promise<number> {
  const commit = Deno.args[0] ?? EARLIER_COMMIT;
  const checkOut = await EarlierTree.checkOut(commit);
  if ("skipped" in checkOut) {
    tell(`skipped: ${checkOut.skipped}`);
    return 0;
  }
  await using tree = checkOut.tree;
  tell(`from ${commit} to the present tree`);
  const { violations } = await runUpgrade({
    tree,
    keys: KEYS,
    restMs: REST_MS,
    kills: true,
    tell,
  });
  for (const { check, message } of violations) tell(`${check}: ${message}`);
  return violations.length === 0 ? 0 : 1;
}

Deno.exit(await main());
