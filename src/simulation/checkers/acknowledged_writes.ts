/**
 * Holds a history of `kv` to what versioned objects promise: no acknowledged
 * write is lost, nothing appears that was not written, and what was replaced
 * stays replaced.
 *
 * **What can be known.** A version has a dot, and an object is determined by the
 * dots it knows: alive are those that no known write replaced. For the context
 * with which a write was made covers whole objects, so whoever knows the write
 * knows, and counts as replaced, all that its context covers; merging and writing
 * keep that so. From this follows for two sights of a key, reads or answers to
 * writes, with contexts c and d:
 *
 * 1. If a sight knows an acknowledged write and does not show its value, then it
 *    shows the value of a write whose context covered it, or there is a delete,
 *    of which sights show nothing, whose context covered it. For of the known
 *    writes that cover it, directly or through others, one is alive, and its
 *    context covers all that those before it covered.
 * 2. If a sight knows a write, then nothing lives in it that the write's context covered.
 * 3. If c covers d, then what lives under c and was known under d lives under d.
 *
 * So the final read, of all replicas, must know every acknowledged write, and
 * by (1) show it or why it is gone. A write is *certainly known* to a sight if
 * the sight's context covers every dot that it can have (`kv_history.ts`) or if its
 * value is there and nobody else wrote that. Writes with an unknown outcome
 * excuse: they may replace (1), but are not required to have replaced (2).
 *
 * **Copies.** A write whose first coordinator fell silent may be made again by
 * the next one, and then has two dots, of which the client knows one. The other
 * may show up at any time, even after the first was replaced, and is a sibling
 * in its own right. So a value that should be gone is an error only when no dot
 * is left that could be such a copy. Where coordinators do not fail, `copiesMax: 1`
 * makes the check sharper.
 *
 * **What it takes.** The history must hold every write to its keys, values should
 * differ from write to write (equal ones excuse each other), and contexts must
 * be used for the key they came from. A read may show what is not durable yet.
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

/** What to hold a history to, beside what always holds. */
export interface AcknowledgedWritesOptions extends ReadGuarantees {
  /**
   * Which acknowledged writes the final reads must know. Until handoff, one that
   * was taken by fallbacks alone is not where the final read looks.
   *
   * @default {all}
   */
  readonly counts?: ((record: KvRecord) => boolean) | undefined;
  /** Most dots that one write can get: its replicas, as each may be asked to coordinate. @default {3} */
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
    // What follows from contexts that are wrong would only distract.
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
  /** Writes of which the one dot is known, so that it is no other's. */
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

  /** The writes that may have put `value` there by then. */
  #writersOf(value: string, byMs: number): KvWrite[] {
    return (this.#byValue.get(value) ?? []).filter(({ invokedAtMs }) =>
      invokedAtMs <= byMs
    );
  }

  /** Every value was written by somebody, before it was seen, and not more often than it could be. */
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

  /** Rules 2 and 3: what was replaced does not live. */
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

  /** Whether the sight knows a dot that may be this write's and is not among the `dead`. */
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

  /** Rule 1, for what a sight certainly knows. */
  #checkPresent(sight: KvSight, known: readonly KvWrite[]): void {
    // The final read has a check of its own, which asks for more.
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

  /** All that is covered by the contexts of those who may be alive in `sight`. */
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

  /** Whether the sight may know a dot of the write, be it not the one that was acknowledged. */
  #mayShare(write: KvWrite, sight: KvSight): boolean {
    return write.acknowledged && this.#copiesMax === 1
      ? knowsAcknowledged(write, sight)
      // No dot of it is among those that were there before.
      : !coversAll(write.before, sight.known);
  }

  /** The final read knows the write, and shows it or who has replaced it. */
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

  /** A write stands beside no more values than can have been there. */
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
