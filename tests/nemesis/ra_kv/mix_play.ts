/**
 * Performs the operations of a mix, one after the other, on a cluster of node
 * processes of which some are members of a cluster of `ra_kv`. Nodes that were
 * killed and networks that fell apart come back by themselves while it goes on.
 *
 * @module
 */
import {
  isWhorlError,
  reasonOf,
  WhorlError,
} from "../../../src/base/errors.ts";
import type { WhorlClient } from "../../../src/node/connect.ts";
import {
  type RaKvClient,
  raKvOutcomeUnknown,
} from "../../../src/ra_kv/ra_kv_client.ts";
import { OPERATION_MS_MAX } from "../load_clients.ts";
import type { NemesisCluster } from "../nemesis_cluster.ts";
import type { NemesisNode } from "../nemesis_node.ts";
import { pause } from "../pause.ts";
import { shortName } from "../short_name.ts";
import { killWal } from "./log_faults.ts";
import {
  itemAt,
  MIX_KEYS,
  MIX_KINDS,
  type MixKind,
  type MixOperation,
} from "./mix_plan.ts";
import {
  GROUP,
  perform,
  type RaKvAsked,
  type RaKvHistory,
} from "./ra_kv_load.ts";

/** Time a change of the members may take, in milliseconds. */
const CHANGE_MS_MAX = 10_000;
/** How long a node that was killed stays away, in milliseconds. */
const DOWN_MS_MIN = 100;
const DOWN_MS_MAX = 2_000;
/** A partition lasts for a thirtieth of the longest time at least, as in ra's harness: 3 to 90 seconds. */
const PARTITION_SPAN = 30;

/** What a mix is played with. */
export interface MixSetting {
  readonly cluster: NemesisCluster;
  /** Nodes that have a member at first. */
  readonly members: readonly NemesisNode[];
  readonly history: RaKvHistory;
  readonly partitionMsMax: number;
  readonly tell: (line: string) => void;
  readonly signal: AbortSignal;
}

/** How often a kind was done, and how often it could not be. */
export interface MixCount {
  done: number;
  failed: number;
}

/** See the module comment. */
export class MixPlay {
  readonly #setting: MixSetting;
  /** Faults that are still on. */
  readonly #faults = new Set<Promise<void>>();
  /** As far as known. */
  #members: readonly NemesisNode[];
  #values = 0;
  readonly counts: Readonly<Record<MixKind, MixCount>>;

  constructor(setting: MixSetting) {
    this.#setting = setting;
    this.#members = setting.members;
    this.counts = Object.fromEntries(
      MIX_KINDS.map((kind) => [kind, { done: 0, failed: 0 }]),
    ) as Record<MixKind, MixCount>;
  }

  /** Performs one; resolves to what it came to, in words. */
  async play(operation: MixOperation): Promise<string> {
    const asked = await this.#nodeToAsk(operation.askedPlace);
    const { outcome, done } = await this.#perform(operation, asked);
    const count = this.counts[operation.kind];
    if (done) count.done++;
    else count.failed++;
    return `${operation.kind} at ${shortName(asked.name)}: ${outcome}`;
  }

  /** One that runs; if none does, the first that is back. */
  async #nodeToAsk(place: number): Promise<NemesisNode> {
    for (;;) {
      this.#setting.signal.throwIfAborted();
      const { nodes } = this.#setting.cluster;
      const node = itemAt(nodes.filter(({ running }) => running), place);
      if (node !== undefined) return node;
      await Promise.race(this.#faults);
    }
  }

  async #perform(
    operation: MixOperation,
    asked: NemesisNode,
  ): Promise<{ readonly outcome: string; readonly done: boolean }> {
    try {
      const outcome = await this.#act(operation, asked);
      return {
        outcome: outcome ?? "nothing to do",
        done: outcome !== undefined,
      };
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      return { outcome: `${error.code}: ${reasonOf(error)}`, done: false };
    }
  }

  /** What was done, in words; `undefined` if there was nothing to do it to. */
  async #act(
    { kind, key, from, place, length }: MixOperation,
    asked: NemesisNode,
  ): Promise<string | undefined> {
    const { raKv } = await asked.client();
    const member = itemAt(this.#members, place);
    switch (kind) {
      case "put":
        await this.operate("mix", raKv, key, this.#put(key));
        return key;
      case "get":
        await this.operate("mix", raKv, key, { type: "get", from });
        return `${key} from ${from}`;
      case "mass_update":
        return await this.#updateAll(raKv);
      case "snapshot":
        return await this.#onDisk(
          member,
          (node) =>
            raKv.takeSnapshot(GROUP, { node, timeoutMs: CHANGE_MS_MAX }),
        );
      case "compaction":
        return await this.#onDisk(
          member,
          (node) => raKv.compact(GROUP, { node, timeoutMs: CHANGE_MS_MAX }),
        );
      case "add_member": {
        const node = itemAt(this.#outsiders(), place);
        return await this.#change(node, async ({ name }) => {
          await raKv.addMember(GROUP, name, { timeoutMs: CHANGE_MS_MAX });
        });
      }
      case "remove_member":
        if (this.#members.length === 1) return undefined;
        return await this.#change(member, async ({ name }) => {
          await raKv.removeMember(GROUP, name, { timeoutMs: CHANGE_MS_MAX });
        });
      case "kill_wal": {
        const node = itemAt(this.#runningMembers(), place);
        if (node === undefined) return undefined;
        return await killWal(node) ? shortName(node.name) : undefined;
      }
      case "kill_member":
        return this.#kill(itemAt(this.#runningMembers(), place), length);
      case "partition":
        return this.#partition(place, length);
    }
  }

  #put(key: string): RaKvAsked {
    return { type: "put", value: `${key} ${++this.#values}` };
  }

  /** An operation that goes into the history. @throws {WhorlError} As `ra_kv` does. */
  async operate(
    client: string,
    raKv: RaKvClient,
    key: string,
    input: RaKvAsked,
  ): Promise<void> {
    const { history } = this.#setting;
    const record = history.invoke(client, key, input);
    try {
      const { output } = await perform(raKv, key, input);
      history.succeed(record, output);
    } catch (error) {
      // What is no answer of Whorl is a bug, of the mix or of the client.
      if (!isWhorlError(error)) throw error;
      if (raKvOutcomeUnknown(error)) history.lose(record, error.code);
      else history.fail(record, `${error.code}: ${reasonOf(error)}`);
      throw error;
    }
  }

  /** Puts every key at the same time. */
  async #updateAll(raKv: RaKvClient): Promise<string> {
    const results = await Promise.allSettled(
      MIX_KEYS.map((key, i) =>
        this.operate(`mass ${i}`, raKv, key, this.#put(key))
      ),
    );
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return `${results.length} keys`;
  }

  async #onDisk(
    member: NemesisNode | undefined,
    act: (
      node: string,
    ) => Promise<{ readonly failures: readonly { readonly code: string }[] }>,
  ): Promise<string | undefined> {
    if (member === undefined) return undefined;
    const { failures: [failure] } = await act(member.name);
    return failure === undefined ? shortName(member.name) : undefined;
  }

  #outsiders(): NemesisNode[] {
    return this.#setting.cluster.nodes.filter((node) =>
      !this.#members.includes(node)
    );
  }

  async #change(
    node: NemesisNode | undefined,
    change: (node: NemesisNode) => Promise<void>,
  ): Promise<string | undefined> {
    if (node === undefined) return undefined;
    try {
      await change(node);
    } finally {
      // Also what has failed may have been done, or half.
      await this.#askMembers();
    }
    return `${shortName(node.name)}, now ${this.#memberWords()}`;
  }

  #memberWords(): string {
    return this.#members.map(({ name }) => shortName(name)).join(", ");
  }

  /** Learns who the members are, if anybody can say so. */
  async #askMembers(): Promise<void> {
    const { cluster } = this.#setting;
    for (const node of cluster.nodes.filter(({ running }) => running)) {
      try {
        const { raKv } = await node.client();
        const { members } = await raKv.members(GROUP, {
          timeoutMs: OPERATION_MS_MAX,
        });
        this.#members = members.map((member) => cluster.node(member.node));
        return;
      } catch (error) {
        if (!isWhorlError(error)) throw error;
      }
    }
  }

  #runningMembers(): NemesisNode[] {
    return this.#members.filter(({ running }) => running);
  }

  /** SIGKILL; it comes back by itself. */
  async #kill(
    node: NemesisNode | undefined,
    length: number,
  ): Promise<string | undefined> {
    if (node === undefined) return undefined;
    const downMs = DOWN_MS_MIN + length * (DOWN_MS_MAX - DOWN_MS_MIN);
    await node.kill();
    this.#until(downMs, () => node.start());
    return `${shortName(node.name)} for ${Math.round(downMs)} ms`;
  }

  /** Some nodes on one side, the others on the other one; it heals by itself. */
  #partition(place: number, length: number): string | undefined {
    const { cluster, partitionMsMax } = this.#setting;
    const { nodes } = cluster;
    if (nodes.length < 2) return undefined;
    // As many as the place says, one at least on each side, beginning anywhere.
    const size = 1 + Math.floor(place * (nodes.length - 1));
    const start = Math.floor(length * 1_000) % nodes.length;
    const side = new Set(
      Array.from(
        { length: size },
        (_, i) => nodes[(start + i) % nodes.length]!.name,
      ),
    );
    const forMs = partitionMsMax / PARTITION_SPAN +
      length * (partitionMsMax - partitionMsMax / PARTITION_SPAN);
    const weather = cluster.network.impose((from, to) =>
      side.has(from) !== side.has(to) ? { blocked: true } : undefined
    );
    this.#until(forMs, () => {
      weather[Symbol.dispose]();
      return Promise.resolve();
    });
    return `{${[...side].map(shortName).join(", ")}} apart for ${
      Math.round(forMs)
    } ms`;
  }

  /** Ends a fault after a time; if the run ends before, so do the nodes. */
  #until(ms: number, end: () => Promise<void>): void {
    const { signal, tell } = this.#setting;
    const fault = pause(ms, signal).then(end).catch((error) => {
      // Whatever it was, all nodes must run when faults are over.
      if (!signal.aborted) tell(`not ended: ${reasonOf(error)}`);
    }).finally(() => this.#faults.delete(fault));
    this.#faults.add(fault);
  }

  /** Waits until all faults are over; then every node runs, and reaches every other. */
  async allOver(): Promise<void> {
    await Promise.all(this.#faults);
    await this.#setting.cluster.mend();
  }

  /** A client of a node that runs. @throws {WhorlError} If none does. */
  async clientOfAny(): Promise<WhorlClient> {
    const { nodes } = this.#setting.cluster;
    const node = nodes.find(({ running }) => running);
    if (node === undefined) {
      throw new WhorlError("not_reachable", "No node runs");
    }
    return await node.client();
  }

  /** The nodes that have a member, as its leader says. @throws {WhorlError} If nobody answers. */
  async membersNow(): Promise<readonly NemesisNode[]> {
    const { cluster } = this.#setting;
    const { raKv } = await this.clientOfAny();
    const { members } = await raKv.members(GROUP, {
      timeoutMs: OPERATION_MS_MAX,
    });
    this.#members = members.map((member) => cluster.node(member.node));
    return this.#members;
  }
}
