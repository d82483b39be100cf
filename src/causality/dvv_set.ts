/**
 * Dotted version vector sets: the concurrent values (siblings) of one key and
 * the causal history they share, in one compact value (Almeida, Baquero,
 * Gonçalves, Preguiça, Fonte, "Scalable and Accurate Causality Tracking for
 * Eventually Consistent Stores", DAIS 2014, §5).
 *
 * An entry `{ id: a, counter: 4, values: [v, w] }` says: the dots a1 to a4 have
 * happened; v is the value of a4, w that of a3, and the values of a1 and a2 have
 * been overwritten. So `counter - values.length` dots are known only as history,
 * and nothing needs storing beside the values but one number an actor. Anonymous
 * values have no dot yet: they are what a client holds before a server with an
 * id of its own stamps them.
 *
 *     write:  client = dvvSet([value], context)         context from dvvContext()
 *             server = updateDvv(client, id, local)     one new dot for the value
 *     merge:  syncDvv([mine, yours])                    on any two replicas
 *
 * This is the plain form, meant to be read and to be compared with. Sets never
 * change once made.
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";

/** One actor's part of a set. */
export interface DvvEntry<Value> {
  /** The actor: whoever stamps writes with dots of its own. */
  readonly id: string;
  /** How many dots of it have happened. */
  readonly counter: number;
  /** The values of its newest dots, newest first; older ones are history. */
  readonly values: readonly Value[];
}

/** Siblings and their causal history. */
export interface DvvSet<Value> {
  /** Sorted by id, one an actor. */
  readonly entries: readonly DvvEntry<Value>[];
  /** Values without a dot. */
  readonly anonymous: readonly Value[];
}

/** What a reader has seen, to be handed back with its next write. Sorted by id. */
export type DvvContext = readonly (readonly [id: string, counter: number])[];

/**
 * A set of `values` without dots, written by someone who had seen `context`.
 *
 * @param context Default: nothing was seen.
 */
export function dvvSet<Value>(
  values: readonly Value[],
  context: DvvContext = [],
): DvvSet<Value> {
  const entries = context
    .map(([id, counter]) => ({ id, counter, values: [] }))
    .sort((a, b) => compareTexts(a.id, b.id));
  return { entries, anonymous: values };
}

/** Everything `set` has seen, for a reader to hand back with its next write. */
export function dvvContext<Value>(set: DvvSet<Value>): DvvContext {
  return set.entries.map(({ id, counter }) => [id, counter]);
}

/**
 * Gives the one anonymous value of `client` a new dot of `id`, on top of what
 * `local` holds: what the client had seen goes, what it had not seen stays
 * beside the new value.
 *
 * @throws {RangeError} If `client` does not have exactly one anonymous value.
 */
export function updateDvv<Value>(
  client: DvvSet<Value>,
  id: string,
  local: DvvSet<Value> = { entries: [], anonymous: [] },
): DvvSet<Value> {
  if (client.anonymous.length !== 1) {
    throw new RangeError(
      `Cannot update a set as exactly one value must be new: current count is ${client.anonymous.length}`,
    );
  }
  const seen = { entries: client.entries, anonymous: [] };
  const { entries, anonymous } = syncTwo<Value>(seen, local, Object.is);
  const at = entries.findIndex((entry) => entry.id >= id);
  const own = entries[at]?.id === id
    ? entries[at]
    : { id, counter: 0, values: [] };
  const dotted: DvvEntry<Value> = {
    id,
    counter: own.counter + 1,
    values: [client.anonymous[0] as Value, ...own.values],
  };
  const updated = entries.filter((entry) => entry.id !== id);
  updated.splice(at === -1 ? updated.length : at, 0, dotted);
  return { entries: updated, anonymous };
}

/**
 * The set that has seen everything any of `sets` has seen, with the values that
 * none of them has seen overwritten.
 *
 * @param same Tells anonymous values apart; dotted ones need no telling. Default: `Object.is`.
 */
export function syncDvv<Value>(
  sets: readonly DvvSet<Value>[],
  same: (a: Value, b: Value) => boolean = Object.is,
): DvvSet<Value> {
  const [first, ...rest] = sets;
  if (first === undefined) return { entries: [], anonymous: [] };
  return rest.reduce((merged, set) => syncTwo(merged, set, same), first);
}

function syncTwo<Value>(
  a: DvvSet<Value>,
  b: DvvSet<Value>,
  same: (a: Value, b: Value) => boolean,
): DvvSet<Value> {
  const entries: DvvEntry<Value>[] = [];
  let i = 0;
  let j = 0;
  while (i < a.entries.length || j < b.entries.length) {
    const left = a.entries[i];
    const right = b.entries[j];
    if (right === undefined || left !== undefined && left.id < right.id) {
      entries.push(left!);
      i++;
    } else if (left === undefined || right.id < left.id) {
      entries.push(right);
      j++;
    } else {
      entries.push(mergeEntries(left, right));
      i++;
      j++;
    }
  }
  // Anonymous values have no dot, so whole histories decide about them.
  const anonymous = dvvLess(a, b)
    ? b.anonymous
    : dvvLess(b, a)
    ? a.anonymous
    : unique([...a.anonymous, ...b.anonymous], same);
  return { entries, anonymous };
}

/** A dot's value survives if neither side has it as mere history. */
function mergeEntries<Value>(
  a: DvvEntry<Value>,
  b: DvvEntry<Value>,
): DvvEntry<Value> {
  const newer = a.counter >= b.counter ? a : b;
  const history = Math.max(
    a.counter - a.values.length,
    b.counter - b.values.length,
  );
  const values = newer.values.slice(0, Math.max(0, newer.counter - history));
  return { id: newer.id, counter: newer.counter, values };
}

function unique<Value>(
  values: readonly Value[],
  same: (a: Value, b: Value) => boolean,
): Value[] {
  const kept: Value[] = [];
  for (const value of values) {
    if (!kept.some((other) => same(other, value))) kept.push(value);
  }
  return kept;
}

/** Whether `b` has seen everything `a` has, and more: all of `a` is outdated. */
export function dvvLess<Value>(a: DvvSet<Value>, b: DvvSet<Value>): boolean {
  let more = b.entries.length > a.entries.length;
  for (const { id, counter } of a.entries) {
    const seen = b.entries.find((entry) => entry.id === id)?.counter;
    if (seen === undefined || seen < counter) return false;
    if (seen > counter) more = true;
  }
  return more;
}

/** Whether both have the same history and as many values a dot; the values themselves are not looked at. */
export function dvvEqual<Value>(a: DvvSet<Value>, b: DvvSet<Value>): boolean {
  return a.entries.length === b.entries.length &&
    a.entries.every((entry, i) => {
      const other = b.entries[i]!;
      return entry.id === other.id && entry.counter === other.counter &&
        entry.values.length === other.values.length;
    });
}

/** Every sibling: anonymous ones, then each actor's, newest first. */
export function dvvValues<Value>(set: DvvSet<Value>): Value[] {
  return [...set.anonymous, ...set.entries.flatMap(({ values }) => values)];
}

/** How many siblings there are. */
export function dvvSize<Value>(set: DvvSet<Value>): number {
  return set.entries.reduce(
    (sum, { values }) => sum + values.length,
    set.anonymous.length,
  );
}

/** Every actor in the history. */
export function dvvIds<Value>(set: DvvSet<Value>): string[] {
  return set.entries.map(({ id }) => id);
}

/** `set` with `change` applied to every value and the history as it was. */
export function mapDvv<Value, Changed>(
  set: DvvSet<Value>,
  change: (value: Value) => Changed,
): DvvSet<Changed> {
  return {
    entries: set.entries.map(({ id, counter, values }) => ({
      id,
      counter,
      values: values.map((value) => change(value)),
    })),
    anonymous: set.anonymous.map((value) => change(value)),
  };
}

/** The history of `set` with one anonymous value, made by `resolve` from all there were. */
export function reconcileDvv<Value>(
  set: DvvSet<Value>,
  resolve: (values: Value[]) => Value,
): DvvSet<Value> {
  return dvvSet([resolve(dvvValues(set))], dvvContext(set));
}

/**
 * The newest sibling by `lessOrEqual`, which says of two values whether the
 * first is no newer than the second. Of one actor only the newest dot is asked.
 *
 * @throws {RangeError} If there is no value.
 */
export function lastOfDvv<Value>(
  set: DvvSet<Value>,
  lessOrEqual: (a: Value, b: Value) => boolean,
): Value {
  return findLast(set, lessOrEqual).value;
}

/**
 * `set` with only its newest sibling, still at its own dot: the last write wins.
 *
 * @throws {RangeError} If there is no value.
 */
export function lastWriteWinsDvv<Value>(
  set: DvvSet<Value>,
  lessOrEqual: (a: Value, b: Value) => boolean,
): DvvSet<Value> {
  const last = findLast(set, lessOrEqual);
  if (last.id === undefined) return dvvSet([last.value], dvvContext(set));
  return {
    entries: set.entries.map(({ id, counter }) => ({
      id,
      counter,
      values: id === last.id ? [last.value] : [],
    })),
    anonymous: [],
  };
}

function findLast<Value>(
  set: DvvSet<Value>,
  lessOrEqual: (a: Value, b: Value) => boolean,
): { value: Value; id: string | undefined } {
  const candidates: { value: Value; id: string | undefined }[] = [
    ...set.entries
      .filter(({ values }) => values.length > 0)
      .map(({ id, values }) => ({ value: values[0] as Value, id })),
    ...set.anonymous.map((value) => ({ value, id: undefined })),
  ];
  if (candidates.length === 0) {
    throw new RangeError("Cannot find the last value of a set that has none");
  }
  return candidates.reduce((last, next) =>
    lessOrEqual(last.value, next.value) ? next : last
  );
}
