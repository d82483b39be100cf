/**
 * The checker of acknowledged writes against replicas of real `kv` objects on a
 * network of its own: whatever is delayed, lost, made twice or forgotten by a
 * crash, replicas that keep the rules are never accused, and each way to break a
 * rule is found.
 */
import { assert, assertEquals } from "@std/assert";
import { type Chance, seededChance } from "../../src/base/chance.ts";
import {
  contextFromText,
  contextOf,
  contextToText,
} from "../../src/kv/causal_context.ts";
import {
  hasLiveValue,
  mergeObjects,
  writeToObject,
} from "../../src/kv/kv_object.ts";
import { readSiblings, SiblingFlag } from "../../src/kv/kv_object_codec.ts";
import {
  checkAcknowledgedWrites,
} from "../../src/simulation/checkers/acknowledged_writes.ts";
import type {
  KvInput,
  KvOutput,
  KvRead,
  KvRecord,
} from "../../src/simulation/checkers/kv_history.ts";
import { HistoryRecorder } from "../../src/simulation/history.ts";

const REPLICAS = 3;
const CLIENTS = 4;

type Bug =
  | "acknowledges before it stores"
  | "signs with its old actor after a crash"
  | "forgets what was there when it coordinates"
  | "ignores the context of a write"
  | "keeps the later of two objects instead of merging"
  | "keeps the earlier of two objects instead of merging"
  | "forgets deleted objects at once"
  | "shows a value of another key"
  | "carries out a write that it has refused"
  | "acknowledges after one replica"
  | "reads one replica"
  | "gives the context of more than it shows";

interface Replica {
  object: Uint8Array | undefined;
  durable: Uint8Array | undefined;
  actor: Uint8Array;
  /** What is told once the present object is durable. */
  waiting: (() => void)[];
}

/** Something that can happen next, in any order with the others. */
type Event = () => void;

class Store {
  readonly #chance: Chance;
  readonly #bug: Bug | undefined;
  readonly #copies: boolean;
  readonly #replicas: Replica[];
  readonly #events: Event[] = [];
  readonly #contexts: (string | undefined)[] = new Array(CLIENTS);
  /** What each client waits for. */
  readonly #open: (KvRecord | undefined)[] = new Array(CLIENTS).fill(undefined);
  readonly history: HistoryRecorder<KvInput, KvOutput>;
  #nowMs = 0;
  #actors = 0;
  #values = 0;

  constructor(chance: Chance, bug: Bug | undefined, copies: boolean) {
    this.#chance = chance;
    this.#bug = bug;
    this.#copies = copies;
    this.history = new HistoryRecorder(() => this.#nowMs);
    this.#replicas = Array.from({ length: REPLICAS }, () => ({
      object: undefined,
      durable: undefined,
      actor: this.#newActor(),
      waiting: [],
    }));
  }

  run(steps: number): KvRead {
    for (let i = 0; i < steps; i++) {
      // Several things may happen at one moment.
      if (this.#chance.chance(0.7)) this.#nowMs++;
      const dice = this.#chance.next();
      if (dice < 0.3) this.#invoke();
      else if (dice < 0.5) this.#commit(this.#chance.pick(this.#replicas));
      else if (dice < 0.53) this.#crash(this.#chance.pick(this.#replicas));
      else if (this.#events.length > 0) {
        const at = this.#chance.below(this.#events.length);
        const [event] = this.#events.splice(at, 1);
        // Messages get lost, though not answers that were given already.
        if (!this.#chance.chance(0.05)) (event as Event)();
      }
    }
    this.#nowMs++;
    return this.#seen(this.#merged(this.#replicas.map((r) => r.object)));
  }

  #newActor(): Uint8Array {
    const actor = new Uint8Array(12);
    actor[0] = this.#chance.below(256);
    actor[11] = ++this.#actors;
    return actor;
  }

  #commit(replica: Replica): void {
    replica.durable = replica.object;
    for (const told of replica.waiting.splice(0)) told();
  }

  #crash(replica: Replica): void {
    replica.object = replica.durable;
    replica.waiting = [];
    if (this.#bug !== "signs with its old actor after a crash") {
      replica.actor = this.#newActor();
    }
  }

  #store(replica: Replica, object: Uint8Array, told: () => void): void {
    replica.object = object;
    if (
      this.#bug === "forgets deleted objects at once" && !hasLiveValue(object)
    ) replica.object = undefined;
    if (this.#bug === "acknowledges before it stores") told();
    else replica.waiting.push(told);
  }

  #invoke(): void {
    const number = this.#chance.below(CLIENTS);
    const waited = this.#open[number];
    if (waited !== undefined) {
      if (this.#chance.chance(0.9)) return;
      // It gives up; what it asked for may happen yet.
      this.history.lose(waited, "timeout");
    }
    const client = `c${number}`;
    const context = this.#chance.chance(0.75)
      ? this.#contexts[number]
      : undefined;
    const kind = this.#chance.below(10);
    if (kind < 5) {
      const record = this.history.invoke(client, "k", { type: "get" });
      this.#open[number] = record;
      this.#read(number, record);
    } else {
      const input: KvInput = kind < 9
        ? { type: "put", value: ++this.#values, context }
        : { type: "delete", context };
      const record = this.history.invoke(client, "k", input);
      this.#open[number] = record;
      this.#write(number, record);
    }
  }

  #read(number: number, record: KvRecord): void {
    const found: (Uint8Array | undefined)[] = [];
    const needed = this.#bug === "reads one replica" ? 1 : 2;
    for (const replica of this.#replicas) {
      this.#events.push(() => {
        found.push(replica.object);
        if (found.length !== needed || record.returnedAtMs !== undefined) {
          return;
        }
        this.#open[number] = undefined;
        const read = this.#seen(this.#merged(found));
        this.#contexts[number] = read.context ?? undefined;
        this.history.succeed(record, read);
      });
    }
  }

  #write(number: number, record: KvRecord): void {
    const refused = this.#chance.chance(0.05);
    if (refused) {
      this.#open[number] = undefined;
      this.history.fail(record, "overload");
      if (this.#bug !== "carries out a write that it has refused") return;
    }
    const coordinators = this.#copies && this.#chance.chance(0.1) ? 2 : 1;
    for (let i = 0; i < coordinators; i++) {
      const at = this.#chance.below(REPLICAS);
      // Nobody waits for a coordinator that was given up, but it may still act.
      this.#events.push(() =>
        this.#coordinate(at, number, record, i === coordinators - 1)
      );
    }
  }

  #coordinate(
    at: number,
    number: number,
    record: KvRecord,
    awaited: boolean,
  ): void {
    const replica = this.#replicas[at] as Replica;
    const { input } = record;
    const put = input.type === "put";
    const context = input.type === "get" || input.context === undefined ||
        this.#bug === "ignores the context of a write"
      ? undefined
      : contextFromText(input.context);
    const local =
      this.#bug === "forgets what was there when it coordinates" && context
        ? undefined
        : replica.object;
    const object = writeToObject(local, context, replica.actor, {
      flags: put ? SiblingFlag.json : SiblingFlag.tombstone,
      lastModified: this.#nowMs,
      value: new TextEncoder().encode(put ? String(input.value) : ""),
    });
    let acks = 0;
    const needed = this.#bug === "acknowledges after one replica" ? 1 : 2;
    const acknowledged = (): void => {
      acks++;
      if (!awaited || acks !== needed || record.returnedAtMs !== undefined) {
        return;
      }
      this.#open[number] = undefined;
      const text = contextToText(contextOf(object));
      this.#contexts[number] = text;
      const siblings = this.#seen(object).values.length;
      this.history.succeed(record, { context: text, siblings });
    };
    this.#store(replica, object, acknowledged);
    for (const other of this.#replicas) {
      if (other === replica) continue;
      this.#events.push(() => {
        const merged = this.#merged([other.object, object]) as Uint8Array;
        this.#store(other, merged, acknowledged);
      });
    }
  }

  #merged(
    objects: readonly (Uint8Array | undefined)[],
  ): Uint8Array | undefined {
    let merged: Uint8Array | undefined;
    for (const object of objects) {
      if (object === undefined) continue;
      if (merged === undefined) merged = object;
      else if (
        this.#bug === "keeps the later of two objects instead of merging"
      ) {
        merged = object;
      } else if (
        this.#bug !== "keeps the earlier of two objects instead of merging"
      ) merged = mergeObjects(merged, object);
    }
    return merged;
  }

  #seen(object: Uint8Array | undefined): KvRead {
    if (object === undefined) return { values: [], context: null };
    const values = readSiblings(object)
      .filter(({ flags }) => !(flags & SiblingFlag.tombstone))
      .map(({ value }) =>
        JSON.parse(new TextDecoder().decode(value)) as number
      );
    if (this.#chance.chance(0.1)) {
      if (this.#bug === "shows a value of another key") values.push(-1);
      if (this.#bug === "gives the context of more than it shows") values.pop();
    }
    return { values, context: contextToText(contextOf(object)) };
  }
}

function run(seed: number, bug?: Bug, copies = true) {
  const store = new Store(seededChance(seed), bug, copies);
  const finalRead = store.run(150);
  return {
    records: store.history.records as readonly KvRecord[],
    finals: new Map([["k", finalRead]]),
  };
}

const SEEDS = 400;

for (const copies of [true, false]) {
  Deno.test(`checkAcknowledgedWrites() accuses no replicas that keep the rules, ${copies ? "also of writes made twice" : "and knows that each write was made once"}`, () => {
    let acknowledged = 0;
    let unknown = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const { records, finals } = run(seed, undefined, copies);
      const violations = checkAcknowledgedWrites(records, finals, {
        // Two of three are asked and two of three have it.
        readsSeeAcknowledged: true,
        readYourWrites: true,
        copiesMax: copies ? 3 : 1,
      });
      assertEquals(violations, [], `seed ${seed}`);
      for (const { input, outcome } of records) {
        if (input.type === "get") continue;
        if (outcome === "ok") acknowledged++;
        else unknown++;
      }
    }
    assert(acknowledged > 5 * SEEDS, `${acknowledged} acknowledged`);
    assert(unknown > SEEDS, `${unknown} unknown`);
  });
}

/** Which checks find each bug, and in how many of the seeds at least. */
const bugs: Readonly<Record<Bug, Readonly<Record<string, number>>>> = {
  "acknowledges before it stores": {
    stale_read: 30,
    acknowledged_write_lost: 3,
  },
  "signs with its old actor after a crash": {
    kv_context: 15,
    acknowledged_write_lost: 10,
    resurrected_value: 5,
  },
  "forgets what was there when it coordinates": {
    kv_context: 100,
    acknowledged_write_lost: 20,
  },
  "ignores the context of a write": { kv_context: 70, resurrected_value: 80 },
  "keeps the later of two objects instead of merging": {
    acknowledged_write_lost: 60,
    resurrected_value: 20,
  },
  "keeps the earlier of two objects instead of merging": {
    acknowledged_write_lost: 150,
  },
  "forgets deleted objects at once": {
    acknowledged_write_lost: 15,
    resurrected_value: 5,
  },
  "shows a value of another key": { phantom_value: 100 },
  "carries out a write that it has refused": { phantom_value: 50 },
  "acknowledges after one replica": { stale_read: 40 },
  "reads one replica": { stale_read: 80 },
  "gives the context of more than it shows": { acknowledged_write_lost: 100 },
};

for (const [bug, checks] of Object.entries(bugs)) {
  Deno.test(`checkAcknowledgedWrites() finds a store that ${bug}`, () => {
    const found = new Map<string, number>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const { records, finals } = run(seed, bug as Bug);
      const violations = checkAcknowledgedWrites(records, finals, {
        readsSeeAcknowledged: true,
      });
      for (const check of new Set(violations.map(({ check }) => check))) {
        found.set(check, (found.get(check) ?? 0) + 1);
      }
    }
    for (const [check, atLeast] of Object.entries(checks)) {
      const times = found.get(check) ?? 0;
      assert(times >= atLeast, `${check}: ${times} of ${SEEDS} seeds`);
    }
  });
}
