/**
 * Every acknowledged write is held by as many owners as acknowledged it, once
 * hinted handoff is done and before any read: a write with W=2 may have been
 * accepted by fallbacks, which must have handed it over since. Owners that
 * missed the write altogether learn of it by read repair, so not every owner
 * has it.
 * need not be equal everywhere.
 *
 * An owner has a write if it knows one of the dots that the write can have: it
 * then holds the value, or that of a write that replaced it.
 *
 * @module
 */
import {
  covers,
  type KvRead,
  type KvRecord,
  readKeyWrites,
} from "./kv_history.ts";
import type { Violation } from "./violation.ts";

/** What each owner of a replica of a key holds, by a name that says where. */
export type OwnedReplicas = ReadonlyMap<string, KvRead>;

/**
 * Reports each acknowledged write that too few owners know.
 *
 * @param records Every operation on the keys, by invocation.
 * @param replicas By key.
 * @param copiesMin Fewest owners that must know a write.
 */
export function checkAcknowledgedCopies(
  records: readonly KvRecord[],
  replicas: ReadonlyMap<string, OwnedReplicas>,
  copiesMin: (write: KvRecord) => number,
): readonly Violation[] {
  const violations: Violation[] = [];
  for (const [key, ofKey] of Map.groupBy(records, ({ key }) => key)) {
    const owned = replicas.get(key) ?? new Map<string, KvRead>();
    const knowing = new Map<number, string[]>();
    const lacking = new Map<number, string[]>();
    // Broken contexts are reported by the check of the whole history.
    const { writes, knownTo } = readKeyWrites(key, ofKey);
    for (const [place, read] of owned) {
      const known = knownTo(read);
      for (const { id, acknowledged, candidates } of writes) {
        if (!acknowledged || candidates.length === 0) continue;
        const knows = candidates.some((dot) => covers(known, dot));
        (knows ? knowing : lacking).getOrInsert(id, []).push(place);
      }
    }
    for (const record of ofKey) {
      const { id, input, outcome, client, returnedAtMs } = record;
      if (outcome !== "ok" || input.type === "get") continue;
      const known = knowing.get(id) ?? [];
      const min = copiesMin(record);
      if (known.length >= min) continue;
      const places = lacking.get(id) ?? [];
      // A write without a dot of its own is reported by another check.
      if (owned.size > 0 && known.length + places.length === 0) continue;
      violations.push({
        check: "acknowledged_copies",
        message: `Key ${
          JSON.stringify(key)
        }: operation ${id}, acknowledged to ${client} at ${returnedAtMs} ms, is known to ${
          known.join(" and ") || "no owner"
        }, and ${min} owners must know it without a read${
          places.length === 0 ? "" : `: it is missing on ${places.join(", ")}`
        }`,
        key,
        operations: [id],
      });
    }
  }
  return violations;
}
