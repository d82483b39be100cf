/**
 * Checks a history of `kv` against what versioned objects promise: no
 * acknowledged write is lost, nothing appears that was not written, and what
 * was replaced stays replaced.
 *
 * **What can be known.** A version has a dot, and the set of dots that an
 * object knows determines its content: a version is alive unless a known write
 * replaced it. The context that a write was made with covers whole objects, so
 * an object that knows the write also knows everything in its context, and
 * counts it as replaced; merges and writes preserve that. Let a sight be what
 * somebody saw of a key, in a read or in the answer to a write. For two sights
 * with the contexts c and d:
 *
 * 1. If a sight knows an acknowledged write and does not show its value, then it
 *    shows the value of a write whose context covered it, or a delete, which
 *    sights do not show, covered it. For among the known writes that cover it,
 *    directly or through others, one is alive, and its context covers everything
 *    that those before it covered.
 * 2. If a sight knows a write, no version that its context covered is alive in it.
 * 3. If c covers d, what is alive under c and was known under d is alive under d.
 *
 * So the final read, of all replicas, must know every acknowledged write, and
 * by (1) show it or what replaced it. A sight *certainly knows* a write if its
 * context covers every dot that the write can have (`kv_history.ts`), or if it
 * shows the value and nobody else wrote that value. A write with an unknown
 * outcome only excuses: it may have replaced something (1), but need not have
 * (2).
 *
 * **Copies.** A write whose first coordinator fell silent may be retried at the
 * next one, and then has two dots, of which the client knows one. The other may
 * appear at any time, even after the first was replaced, and is a sibling in
 * its own right. So a value that should be gone is an error only if it has no
 * dot that could be such a copy. Where coordinators do not fail, `copiesMax: 1`
 * makes the check stricter.
 *
 * **Requirements.** The history must contain every write to its keys, values
 * should be unique (equal ones excuse each other), and contexts must be used
 * only for the key they came from. A read may show what is not durable yet.
 *
 * ```ts
 * import { checkAcknowledgedWrites } from "./acknowledged_writes.ts";
 * import type { KvInput, KvOutput } from "./kv_history.ts";
 * import { HistoryRecorder } from "../history.ts";
 *
 * let nowMs = 0;
 * const history = new HistoryRecorder<KvInput, KvOutput>(() => nowMs++);
 * const read = history.invoke("c1", "users/ann", { type: "get" });
 * history.succeed(read, { values: [41], context: null });
 * const finalReads = new Map([["users/ann", { values: [], context: null }]]);
 * const violations = checkAcknowledgedWrites(history.records, finalReads);
 * // violations[0].message: … operation 0 shows 41, which nobody wrote …
 * ```
 *
 * @module
 */
import {
  covers,
  coversAll,
  type Dot,
  type Known,
  knowsAcknowledged,
  type KvKeyHistory,
  type KvRead,
  type KvRecord,
  type KvSight,
  type KvWrite,
  type KvWritten,
  learn,
  operationsOf,
  readKeyHistory,
  sightInWords,
} from "./kv_history.ts";
import { checkReadGuarantees, type ReadGuarantees } from "./read_guarantees.ts";
import type { Violation } from "./violation.ts";

/** What to check in addition to what always holds. */
export interface AcknowledgedWritesOptions extends ReadGuarantees {
  /**
   * Which acknowledged writes the final reads must know. The final read does
   * not look at fallbacks, so a write that only they accepted is missing until
   * handoff.
   *
   * @default {all}
   */
  readonly counts?: ((record: KvRecord) => boolean) | undefined;
  /**
   * Most dots that one write can get: the number of replicas, since each may be
   * asked to coordinate.
   *
   * @default {3}
   */
  readonly copiesMax?: number | undefined;
}

/**
 * Checks a history of `kv`, key by key.
 *
 * @param records Every operation on the keys, by invocation.
 * @param finalReads What each key held in the end, read from all its replicas.
 * @throws {TypeError} If an operation is `ok` and has no output.
 */
export function checkAcknowledgedWrites(
  records: readonly KvRecord[],
  finalReads: ReadonlyMap<string, KvRead>,
  options: AcknowledgedWritesOptions = {},
): readonly Violation[] {
  const violations: Violation[] = [];
  const byKey = new Map<string, KvRecord[]>();
  for (const key of finalReads.keys()) byKey.set(key, []);
  for (const record of records) {
    const same = byKey.get(record.key);
    if (same === undefined) byKey.set(record.key, [record]);
    else same.push(record);
  }
  for (const [key, ofKey] of byKey) {
    const found: Violation[] = [];
    const history = readKeyHistory(key, ofKey, finalReads.get(key), found);
    // Broken contexts would cause violations that only distract.
    if (found.length === 0) new KeyCheck(history, options, found).run();
    violations.push(...found);
  }
  return violations;
}

class KeyCheck {
  readonly #history: KvKeyHistory;
  readonly #options: AcknowledgedWritesOptions;
  readonly #violations: Violation[];
  readonly #copiesMax: number;
  readonly #byValue = new Map<string, KvWrite[]>();
  /**
   * Writes with one possible dot, which therefore belongs to no other write.
   */
  readonly #attributed: { readonly dot: Dot; readonly write: KvWrite }[] = [];

  constructor(
    history: KvKeyHistory,
    options: AcknowledgedWritesOptions,
    violations: Violation[],
  ) {
    this.#history = history;
    this.#options = options;
    this.#violations = violations;
    this.#copiesMax = options.copiesMax ?? 3;
    for (const write of history.writes) {
      if (write.value !== undefined) {
        const same = this.#byValue.get(write.value);
        if (same === undefined) this.#byValue.set(write.value, [write]);
        else same.push(write);
      }
      const [dot] = write.candidates;
      if (dot !== undefined && write.candidates.length === 1) {
        this.#attributed.push({ dot, write });
      }
    }
  }

  run(): void {
    const { writes, sights, finalSight } = this.#history;
    for (const write of writes) this.#checkSiblings(write);
    for (const sight of sights) {
      const known = writes.filter((write) =>
        this.#isCertainlyKnown(write, sight)
      );
      if (this.#checkWritten(sight)) this.#checkAlive(sight, known);
      this.#checkPresent(sight, known);
    }
    this.#violations.push(
      ...checkReadGuarantees(this.#history, this.#options),
    );
    const counted = writes.filter(({ acknowledged, record }) =>
      acknowledged && (this.#options.counts?.(record) ?? true)
    );
    if (finalSight === undefined) {
      if (counted.length === 0) return;
      this.#report(
        "acknowledged_write_unread",
        `there is no final read, so nothing can be said of its ${counted.length} acknowledged writes`,
        counted.map(({ id }) => id),
      );
      return;
    }
    for (const write of counted) this.#checkKept(write, finalSight);
  }

  /** The writes that may have written `value` by then. */
  #writersOf(value: string, byMs: number): KvWrite[] {
    return (this.#byValue.get(value) ?? []).filter(({ invokedAtMs }) =>
      invokedAtMs <= byMs
    );
  }

  /**
   * Every value was written before it was seen, and is not seen more often than
   * it was written.
   */
  #checkWritten(sight: KvSight): boolean {
    let good = true;
    for (const [value, copies] of sight.values) {
      const writers = this.#writersOf(value, sight.returnedAtMs);
      if (copies <= writers.length * this.#copiesMax) continue;
      good = false;
      const failed = this.#history.failed.get(value);
      const later = this.#byValue.get(value)?.[0];
      if (writers.length > 0) {
        this.#report(
          "sibling_count",
          `${
            sightInWords(sight)
          } shows ${value} ${copies} times, and ${writers.length} write${
            writers.length === 1 ? "" : "s"
          } can have made at most ${writers.length * this.#copiesMax}`,
          [...operationsOf(sight), ...writers.map(({ id }) => id)],
        );
      } else if (later !== undefined) {
        this.#report(
          "phantom_value",
          `${
            sightInWords(sight)
          } shows ${value}, which operation ${later.id} was only to write from ${later.invokedAtMs} ms on`,
          [...operationsOf(sight), later.id],
        );
      } else if (failed !== undefined) {
        this.#report(
          "phantom_value",
          `${
            sightInWords(sight)
          } shows ${value}, though operation ${failed.id}, which was to write it, failed with ${
            failed.error ?? "no reason"
          }`,
          [...operationsOf(sight), failed.id],
        );
      } else {
        this.#report(
          "phantom_value",
          `${sightInWords(sight)} shows ${value}, which nobody wrote`,
          operationsOf(sight),
        );
      }
    }
    return good;
  }

  /** Rules 2 and 3: what was replaced is not alive. */
  #checkAlive(sight: KvSight, replacing: readonly KvWrite[]): void {
    if (sight.values.size === 0) return;
    const replaced: number[] = [];
    for (const write of replacing) learn(replaced, write.replaced);
    for (const value of sight.values.keys()) {
      const dead = [...replaced];
      let without: KvSight | undefined;
      for (const other of this.#history.sights) {
        if (
          other === sight || other.values.has(value) ||
          !coversAll(sight.known, other.known)
        ) continue;
        learn(dead, other.known);
        without = other;
      }
      const writers = this.#writersOf(value, sight.returnedAtMs);
      if (writers.some((write) => this.#canLive(write, sight, dead))) continue;
      const write = writers[0] as KvWrite;
      const by = replacing.find((other) =>
        other !== write &&
        write.candidates.some((dot) => covers(other.replaced, dot))
      );
      this.#report(
        "resurrected_value",
        `${
          sightInWords(sight)
        } shows ${value} of operation ${write.id}, which ${
          by !== undefined
            ? `operation ${by.id} has replaced, and that is known there`
            : without !== undefined
            ? `was gone in ${
              sightInWords(without)
            }, and all known there is known here`
            : "its context does not cover"
        }`,
        [
          write.id,
          ...(by === undefined ? [] : [by.id]),
          ...(by !== undefined || without === undefined
            ? []
            : operationsOf(without)),
          ...operationsOf(sight),
        ],
      );
    }
  }

  /**
   * Whether the sight knows a dot that may belong to this write and is not
   * among the `dead`.
   */
  #canLive(write: KvWrite, sight: KvSight, dead: Known): boolean {
    if (write.acknowledged && this.#copiesMax === 1) {
      return write.candidates.some((dot) =>
        covers(sight.known, dot) && !covers(dead, dot)
      );
    }
    const excluded = [...dead];
    learn(excluded, write.before);
    let free = 0;
    for (let actor = 0; actor < sight.known.length; actor++) {
      const known = sight.known[actor] as number;
      free += Math.max(0, known - (excluded[actor] ?? 0));
    }
    for (const { dot, write: owner } of this.#attributed) {
      if (
        owner !== write && covers(sight.known, dot) && !covers(excluded, dot)
      ) free--;
    }
    return free > 0;
  }

  #isCertainlyKnown({ candidates, value }: KvWrite, sight: KvSight): boolean {
    let covered = candidates.length > 0;
    for (const dot of candidates) {
      if (!covers(sight.known, dot)) covered = false;
    }
    if (covered) return true;
    return value !== undefined && sight.values.has(value) &&
      this.#byValue.get(value)?.length === 1;
  }

  /** Rule 1, for writes that a sight certainly knows. */
  #checkPresent(sight: KvSight, known: readonly KvWrite[]): void {
    // The final read has its own, stricter check.
    if (sight === this.#history.finalSight) return;
    let excuses: Known | undefined;
    for (const write of known) {
      const { value, candidates } = write;
      if (value === undefined || sight.values.has(value)) continue;
      if (candidates.length === 0) continue;
      excuses ??= this.#excuses(sight);
      if (candidates.some((dot) => covers(excuses as Known, dot))) continue;
      this.#report(
        "acknowledged_write_lost",
        `${
          sightInWords(sight)
        } knows operation ${write.id} and shows neither its value ${value} nor any write that has replaced it`,
        [write.id, ...operationsOf(sight)],
      );
    }
  }

  /**
   * Everything covered by the contexts of writes that may be alive in `sight`.
   */
  #excuses(sight: KvSight): Known {
    const covered: number[] = [];
    for (const write of this.#history.writes) {
      if (write.invokedAtMs > sight.returnedAtMs) continue;
      const alive = write.value === undefined
        ? this.#mayShare(write, sight)
        : sight.values.has(write.value);
      if (alive) learn(covered, write.replaced);
    }
    return covered;
  }

  /**
   * Whether the sight may know a dot of the write, even if not the acknowledged
   * one.
   */
  #mayShare(write: KvWrite, sight: KvSight): boolean {
    return write.acknowledged && this.#copiesMax === 1
      ? knowsAcknowledged(write, sight)
      // None of its dots existed before.
      : !coversAll(write.before, sight.known);
  }

  /** The final read knows the write, and shows it or what replaced it. */
  #checkKept(write: KvWrite, sight: KvSight): void {
    const { id, value, client, returnedAtMs } = write;
    const name =
      `operation ${id}, acknowledged to ${client} at ${returnedAtMs} ms,`;
    const known = write.candidates.filter((dot) => covers(sight.known, dot));
    if (known.length === 0) {
      this.#report(
        "acknowledged_write_lost",
        `the final read does not know ${name} ${
          value === undefined ? "a delete" : `which wrote ${value}`
        }: it shows ${shown(sight)}`,
        [id],
      );
      return;
    }
    if (value === undefined || sight.values.has(value)) return;
    const excuses = this.#excuses(sight);
    if (known.some((dot) => covers(excuses, dot))) return;
    this.#report(
      "acknowledged_write_lost",
      `the final read does not show ${value} of ${name} and no write that it shows, and no delete, had a context that included it: it shows ${
        shown(sight)
      }`,
      [id],
    );
  }

  /** A write is reported with no more siblings than can have existed. */
  #checkSiblings(write: KvWrite): void {
    if (!write.acknowledged) return;
    const { siblings } = write.record.output as KvWritten;
    if (siblings < 1 && write.value !== undefined) {
      this.#report(
        "sibling_count",
        `operation ${write.id} put ${write.value} and was told that the key has no value`,
        [write.id],
      );
    }
    const beside = this.#history.writes.filter((other) =>
      other === write ||
      other.value !== undefined && other.invokedAtMs <= write.returnedAtMs &&
        !(this.#copiesMax === 1 && other.acknowledged &&
          other.candidates.every((dot) => covers(write.replaced, dot)))
    ).filter(({ value }) => value !== undefined);
    const most = beside.length * this.#copiesMax;
    if (siblings <= most) return;
    this.#report(
      "sibling_count",
      `operation ${write.id} was told that the key has ${siblings} values, and ${beside.length} writes beside each other can have made at most ${most}`,
      [write.id],
    );
  }

  #report(
    check: string,
    message: string,
    operations: readonly number[],
  ): void {
    const { key } = this.#history;
    this.#violations.push({
      check,
      message: `Key ${JSON.stringify(key)}: ${message}`,
      key,
      operations: [...new Set(operations)].sort((a, b) => a - b),
    });
  }
}

function shown({ values }: KvSight): string {
  return values.size === 0 ? "nothing" : [...values.keys()].join(", ");
}
