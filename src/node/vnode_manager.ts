/**
 * Which vnodes this node runs, and how requests reach them. Each module has M
 * masters; partition p belongs to master `floor(p * M / ringSize)`. The manager
 * starts the vnodes this node owns, tracks the others whose data is here, and
 * sends requests to the master of their vnode.
 *
 * Vnodes are identified by their numbers (`ring_generations.ts`).
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import {
  crash,
  type ExitReason,
  formatReason,
} from "../../supervisors/exit_reason.ts";
import type { ProgramChild } from "../../supervisors/program.ts";
import { startProgram } from "../../supervisors/start_program.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";
import { u32At } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { Environment } from "../environment/environment.ts";
import type { HeldPartition } from "../handoff/transfer.ts";
import {
  type HandedOverPartition,
  heldName,
} from "../handoff/transfer_plan.ts";
import {
  firstVnodeBeside,
  partitionOfVnode,
} from "../ring/ring_generations.ts";
import type { MailboxBounds } from "../vnode/mailbox_bounds.ts";
import type { ReleasedVnodeData } from "../vnode/master_calls.ts";
import type { ClusterEvent } from "../vnode/vnode.ts";
import {
  answerFailure,
  type AnswerTarget,
  VnodeMasterLink,
} from "../vnode/vnode_master_link.ts";
import type { VnodeMaster } from "../vnode/vnode_master.ts";
import {
  type VnodeMasterArgs,
  vnodeMasterProgram,
} from "../vnode/vnode_master_program.ts";
import { moduleIdOf, VNODE_REQUEST_HEADER_BYTES } from "../vnode/vnode_wire.ts";
import type { VnodeModule } from "../vnode/vnode.ts";
import { relayLogLine } from "./forwarding_log.ts";
import type { NodeHome } from "./node_home.ts";
import {
  isStoreDamaged,
  MASTER_BACKOFF,
  masterPausesAfter,
  masterWaiting,
} from "./master_backoff.ts";
import type { ProcessPlacement } from "./node_options.ts";

/** The program of a vnode master. */
const MASTER_PROGRAM = new URL("./vnode_master_main.ts", import.meta.url);

/**
 * How often a store is replaced by an empty one while a node runs. A disk that
 * damages more stores than that is not used further.
 */
export const STORES_SET_ASIDE_MAX = 3;
/** Time a master has to remove a partition, in milliseconds. */
const DROP_MS = 600_000;

/** A module as the node runs it. */
export interface HostedModule {
  readonly name: string;
  readonly url: string;
  /** The module itself, if it need not be loaded for masters that are tasks. */
  readonly module: VnodeModule | undefined;
  /**
   * Mailbox bounds of each of its vnodes.
   *
   * @default {those the module declares}
   */
  readonly mailbox?: MailboxBounds;
  /** Flags of `deno run` without which a subprocess cannot load it. */
  readonly subprocessFlags: readonly string[];
}

/** Options of a manager. */
export interface VnodeManagerOptions {
  readonly node: string;
  /** Partitions of each generation of the ring, by the number of its first vnode. */
  readonly ringSizes: ReadonlyMap<number, number>;
  /**
   * The first vnodes of generations of the ring that have ended.
   *
   * @default {[]}
   */
  readonly formerVnodes?: readonly number[];
  /**
   * Vnodes of this node whose writes are held until the next ring has them.
   *
   * @default {[]}
   */
  readonly boundVnodes?: readonly number[];
  readonly masters: number;
  readonly placement: ProcessPlacement;
  readonly modules: readonly HostedModule[];
  /** The stores of the masters. */
  readonly home: Pick<NodeHome, "storeOf" | "storeOpened" | "setStoreAside">;
  /** Whether there are other nodes from which a store that is damaged can be rebuilt. */
  readonly mayRebuild: () => boolean;
  /** Flags for masters that are subprocesses. */
  readonly subprocessFlags: readonly string[];
  readonly environment: Environment;
  /** Called with events that an operator should know of. */
  readonly onEvent: (event: VnodeManagerEvent) => void;
}

/** What happened to masters and vnodes. */
export type VnodeManagerEvent =
  | { readonly type: "master_started"; readonly master: string }
  | {
    readonly type: "master_stopped";
    readonly master: string;
    readonly reason: string;
  }
  /**
   * It is restarted after a pause; requests to its vnodes are refused until
   * then.
   */
  | {
    readonly type: "master_waiting";
    readonly master: string;
    /** The pause, in milliseconds. */
    readonly afterMs: number;
    readonly reason: string;
  }
  /** A worker hangs and cannot be ended. */
  | { readonly type: "zombie"; readonly master: string }
  /**
   * The store of a master has lost acknowledged commits, which have not been
   * fetched from other nodes yet; reported at each start.
   */
  | {
    readonly type: "tail_lost";
    readonly module: string;
    readonly master: string;
    readonly storeId: string;
    readonly epoch: number;
  }
  /**
   * The store of a master was damaged: its files were renamed to end with
   * `ending`, and the master begins with an empty store. `tail_lost` follows.
   */
  | {
    readonly type: "store_set_aside";
    readonly master: string;
    readonly ending: string;
  }
  /**
   * The lost commits of a master's store have been fetched from other nodes.
   */
  | { readonly type: "tail_repaired"; readonly master: string }
  /**
   * A vnode has started, or has ended for good because its data is on another
   * node.
   */
  | {
    readonly type: "vnode_started" | "vnode_ended";
    readonly module: string;
    /** Its number. */
    readonly vnode: number;
    /** Its partition. */
    readonly partition: number;
  }
  /**
   * A vnode's data was handed to another node, but the vnode got requests
   * meanwhile and keeps running.
   */
  | {
    readonly type: "vnode_kept";
    readonly module: string;
    /** Its number. */
    readonly vnode: number;
    /** Its partition. */
    readonly partition: number;
  }
  | {
    readonly type: "vnode";
    readonly master: string;
    readonly event: unknown;
  };

interface ModuleMasters {
  readonly hosted: HostedModule;
  readonly links: readonly VnodeMasterLink[];
}

/** The masters of a node; see the module comment. */
export class VnodeManager {
  #options: VnodeManagerOptions;
  #modules = new Map<number, ModuleMasters>();
  #ringSizes: ReadonlyMap<number, number>;
  /** The first vnodes of generations of the ring that have ended. */
  #formerVnodes: readonly number[];
  /** Vnodes of this node whose writes are held until the ring to come has them. */
  #boundVnodes: readonly number[];
  /** The vnodes of the partitions that this node owns. */
  #owned: readonly number[] = [];
  /**
   * Masters that hold vnodes of a ring this node was in before and that other
   * nodes should own, by module and number.
   */
  readonly #strays = new Map<string, number>();
  /** Whether the owned partitions have been set. */
  #ownedKnown = false;
  #lastLink: VnodeMasterLink | undefined;
  /** Masters that ended because their store is damaged. */
  readonly #damaged = new Set<string>();
  /** How often the store of each master was replaced. */
  readonly #setAside = new Map<string, number>();
  /** Masters whose store has lost its tail. */
  readonly #tailsLost = new Set<string>();
  /**
   * The supervisors of the workers in each master, as the master reported them.
   */
  readonly #workers = new Map<string, readonly TreeNode[]>();
  /**
   * The masters that are tasks, by name; a restarted one replaces the one
   * before.
   */
  readonly #tasks = new Map<string, VnodeMaster>();

  /**
   * @throws {WhorlError} `invalid_config` if two modules have the same name or number.
   */
  constructor(options: VnodeManagerOptions) {
    this.#options = options;
    this.#ringSizes = options.ringSizes;
    this.#formerVnodes = options.formerVnodes ?? [];
    this.#boundVnodes = options.boundVnodes ?? [];
    for (const hosted of options.modules) {
      const id = moduleIdOf(hosted.name);
      const other = this.#modules.get(id);
      if (other !== undefined) {
        throw new WhorlError(
          "invalid_config",
          `Cannot run the modules '${other.hosted.name}' and '${hosted.name}' together: their names clash`,
        );
      }
      this.#modules.set(id, {
        hosted,
        links: Array.from(
          { length: options.masters },
          (_, master) =>
            new VnodeMasterLink(
              options.environment,
              (event) =>
                this.#onMasterEvent(
                  hosted.name,
                  `${hosted.name}-${master}`,
                  event,
                ),
              { sameThread: options.placement === "task" },
            ),
        ),
      });
    }
  }

  /**
   * Names of the modules that this node can serve, which are its services:
   * those with a master that runs or is about to run.
   */
  get services(): string[] {
    return [...this.#modules.values()]
      .filter(({ links }) => links.some((link) => !link.refusing))
      .map(({ hosted }) => hosted.name);
  }

  /**
   * The masters that run in this thread, by name; none unless masters are
   * placed there.
   */
  get tasks(): ReadonlyMap<string, VnodeMaster> {
    return this.#tasks;
  }

  /** The masters as children for `vnode_sup`. */
  childSpecs(): ChildSpec[] {
    return [...this.#modules.values()].flatMap(({ hosted, links }) =>
      links.map((link, master) => this.#masterSpec(hosted, link, master))
    );
  }

  #masterSpec(
    hosted: HostedModule,
    link: VnodeMasterLink,
    master: number,
  ): ChildSpec {
    const { environment, onEvent } = this.#options;
    const id = `${hosted.name}-${master}`;
    return {
      id,
      restart: "permanent",
      shutdown: 10_000,
      backoff: MASTER_BACKOFF,
      backoffAfter: masterPausesAfter,
      start: async (signal) => {
        if (this.#damaged.delete(id)) await this.#setStoreAside(hosted, master);
        let child: ProgramChild;
        try {
          child = await this.#startMaster(hosted, master, signal);
        } catch (error) {
          if (!isStoreDamaged(crash(error)) || !this.#mayRebuild(id)) {
            throw error;
          }
          await this.#setStoreAside(hosted, master);
          child = await this.#startMaster(hosted, master, signal);
        }
        await this.#options.home.storeOpened(hosted.name, master);
        let broken = false;
        child.onMessage((message) => {
          if (broken) return;
          try {
            link.receive(message);
          } catch (error) {
            // Nothing it sends can be trusted any more; the next master starts
            // afresh.
            broken = true;
            environment.log.error("A vnode master sent what is no message", {
              master: id,
              reason: reasonOf(error),
            });
            child.kill();
          }
        });
        // Attached before the exit is watched: if the master has ended by now,
        // its exit must come after.
        link.attach(child);
        this.#tellRingSizes(link);
        onEvent({ type: "master_started", master: id });
        child.onExit((reason) => {
          if (isStoreDamaged(reason) && this.#mayRebuild(id)) {
            this.#damaged.add(id);
          }
          link.detach(formatReason(reason));
          this.#tasks.delete(id);
          onEvent({
            type: "master_stopped",
            master: id,
            reason: formatReason(reason),
          });
        });
        if (child.exitReason !== undefined) return child;
        const mine = this.#owned.filter((vnode) =>
          this.#masterOf(vnode) === master
        );
        if (mine.length > 0) this.#startVnodes(link, mine);
        return child;
      },
    };
  }

  #startMaster(
    hosted: HostedModule,
    master: number,
    signal: AbortSignal,
  ): Promise<ProgramChild> {
    const { environment, onEvent, placement } = this.#options;
    const id = `${hosted.name}-${master}`;
    const args: VnodeMasterArgs = {
      moduleUrl: hosted.url,
      moduleName: hosted.name,
      node: this.#options.node,
      ringSizes: [...this.#ringSizes],
      formerVnodes: this.#formerVnodes,
      boundVnodes: this.#boundVnodes,
      store: this.#options.home.storeOf(hosted.name, master),
      seed: `${environment.chance.next()}`,
      ...(hosted.mailbox === undefined ? {} : { mailbox: hosted.mailbox }),
    };
    // The next master reports it again.
    this.#tailsLost.delete(id);
    this.#workers.delete(id);
    return startProgram({
      placement,
      module: MASTER_PROGRAM,
      ...(placement === "task"
        ? {
          program: vnodeMasterProgram(
            environment,
            hosted.module,
            (running) => this.#tasks.set(id, running),
          ),
        }
        : {}),
      args,
      name: id,
      permissions: [
        ...this.#options.subprocessFlags,
        ...hosted.subprocessFlags,
      ],
      onZombie: () => onEvent({ type: "zombie", master: id }),
      describe: () => ({
        ...(this.#tailsLost.has(id)
          ? { remark: "its store has lost its newest commits" }
          : {}),
        children: this.#workers.get(id) ?? [],
      }),
      signal,
      runtime: environment,
    });
  }

  /**
   * Whether the damaged store of the master `id` may be replaced by an empty
   * one.
   */
  #mayRebuild(id: string): boolean {
    return (this.#setAside.get(id) ?? 0) < STORES_SET_ASIDE_MAX &&
      this.#options.mayRebuild();
  }

  async #setStoreAside(hosted: HostedModule, master: number): Promise<void> {
    const { home, environment, onEvent } = this.#options;
    const id = `${hosted.name}-${master}`;
    this.#setAside.set(id, (this.#setAside.get(id) ?? 0) + 1);
    const ending = await home.setStoreAside(hosted.name, master);
    environment.log.error(
      "A damaged store was put aside and is rebuilt from other nodes",
      { master: id, ending },
    );
    onEvent({ type: "store_set_aside", master: id, ending });
  }

  /**
   * The master `id`, which ended for `reason`, is restarted in `afterMs`. A few
   * seconds are too long for requests to wait: they are answered with the
   * reason, and their callers may ask other replicas.
   */
  masterWaits(id: string, afterMs: number, reason: ExitReason): void {
    for (const { hosted, links } of this.#modules.values()) {
      for (const [master, link] of links.entries()) {
        if (`${hosted.name}-${master}` !== id) continue;
        link.refuse(masterWaiting(id, reason));
        this.#options.onEvent({
          type: "master_waiting",
          master: id,
          afterMs,
          reason: formatReason(reason),
        });
      }
    }
  }

  /** The number of the master of a vnode, if that vnode exists. */
  #masterOf(vnode: number): number | undefined {
    const ringSize = this.#ringSizes.get(firstVnodeBeside(vnode));
    const partition = partitionOfVnode(vnode);
    return ringSize === undefined || partition >= ringSize
      ? undefined
      : Math.floor(partition * this.#options.masters / ringSize);
  }

  /**
   * Sets the sizes that the ring has had, has, and will have.
   *
   * @param formerVnodes The first vnodes of earlier sizes.
   * @param boundVnodes Vnodes of this node whose writes are held until the next
   * ring has them.
   */
  ringResized(
    ringSizes: ReadonlyMap<number, number>,
    formerVnodes: readonly number[],
    boundVnodes: readonly number[],
  ): void {
    const known = this.#ringSizes;
    const isKnown = known.size === ringSizes.size &&
      [...ringSizes].every(([first, size]) => known.get(first) === size) &&
      formerVnodes.length === this.#formerVnodes.length &&
      formerVnodes.every((vnode, i) => this.#formerVnodes[i] === vnode) &&
      boundVnodes.length === this.#boundVnodes.length &&
      boundVnodes.every((vnode, i) => this.#boundVnodes[i] === vnode);
    if (isKnown) return;
    this.#ringSizes = ringSizes;
    this.#formerVnodes = formerVnodes;
    this.#boundVnodes = boundVnodes;
    for (const { links } of this.#modules.values()) {
      for (const link of links) if (link.attached) this.#tellRingSizes(link);
    }
  }

  #tellRingSizes(link: VnodeMasterLink): void {
    link.cast("ring_sizes", [
      [...this.#ringSizes],
      this.#formerVnodes,
      this.#boundVnodes,
    ]);
  }

  #startVnodes(link: VnodeMasterLink, vnodes: readonly number[]): void {
    link.call("start_vnodes", vnodes).catch((error) => {
      // The master died before it answered; its successor is told when it
      // starts.
      this.#options.environment.log.debug("Vnodes were not started", {
        error: reasonOf(error),
      });
    });
  }

  #linkFor(
    moduleId: number,
    vnode: number,
  ): VnodeMasterLink | WhorlError {
    const masters = this.#modules.get(moduleId);
    if (masters === undefined) {
      return new WhorlError(
        "invalid_argument",
        `Cannot reach a vnode as ${this.#options.node} runs no module of number ${moduleId}`,
      );
    }
    const stray = this.#strays.size === 0 ? undefined : this.#strays.get(
      heldName({ module: masters.hosted.name, partition: vnode }),
    );
    const master = stray ?? this.#masterOf(vnode);
    const link = master === undefined ? undefined : masters.links[master];
    return link ?? new WhorlError(
      "invalid_argument",
      `Cannot reach partition ${partitionOfVnode(vnode)} in a ring of ${
        this.#ringSizes.get(firstVnodeBeside(vnode)) ?? "unknown size"
      }`,
    );
  }

  /** Begins a request to a vnode of this node; see `VnodeMasterLink.beginRequest`. */
  beginRequest(
    moduleId: number,
    vnode: number,
    target: AnswerTarget,
    correlation: number,
    timeLeftMs: number,
  ): ByteWriter | WhorlError {
    const link = this.#linkFor(moduleId, vnode);
    if (link instanceof WhorlError) return link;
    this.#lastLink = link;
    return link.beginRequest(target, correlation, timeLeftMs);
  }

  /** Ends the request begun last. */
  endRequest(): void {
    this.#lastLink?.endRequest();
  }

  /** Passes on a request from another node; only its header is read. */
  relay(
    target: AnswerTarget,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    if (end - start < VNODE_REQUEST_HEADER_BYTES) {
      throw new WhorlError(
        "protocol_error",
        "Cannot take a vnode request that is cut short",
      );
    }
    const into = this.beginRequest(
      u32At(bytes, start),
      (bytes[start + 4] as number) << 8 | (bytes[start + 5] as number),
      target,
      correlation,
      u32At(bytes, start + 8),
    );
    if (into instanceof WhorlError) {
      answerFailure(target, correlation, into);
      return;
    }
    into.rawRange(bytes, start, end);
    this.endRequest();
  }

  /** Sets the vnodes whose partitions this node owns: they run from now on. */
  own(vnodes: readonly number[]): void {
    const known = new Set(this.#owned);
    const added = vnodes.filter((vnode) => !known.has(vnode));
    this.#owned = vnodes;
    this.#ownedKnown = true;
    if (added.length === 0) return;
    for (const { links } of this.#modules.values()) {
      links.forEach((link, master) => {
        const mine = added.filter((vnode) => this.#masterOf(vnode) === master);
        if (mine.length > 0 && link.attached) this.#startVnodes(link, mine);
      });
    }
  }

  /**
   * What the running masters hold, including partitions that this node does not
   * own.
   */
  async held(): Promise<HeldPartition[]> {
    return (await this.#askHeld()).held;
  }

  /** What is left here of vnodes that went to other nodes, of the masters that run. */
  async handedOver(): Promise<HandedOverPartition[]> {
    const handedOver: HandedOverPartition[] = [];
    for (const { hosted, links } of this.#modules.values()) {
      for (const link of links) {
        // The next one knows nothing of what the one before has handed over.
        if (!link.attached) continue;
        const released = await link.call("released_vnodes", null);
        for (const each of released as ReleasedVnodeData[]) {
          const { vnode, owner, term, version } = each;
          handedOver.push({
            module: hosted.name,
            partition: vnode,
            target: owner,
            term,
            version,
          });
        }
      }
    }
    return handedOver;
  }

  /** What this node holds; undefined while a master does not run, which may hold more. */
  async heldByAll(): Promise<HeldPartition[] | undefined> {
    const { held, isAll } = await this.#askHeld();
    return isAll ? held : undefined;
  }

  async #askHeld(): Promise<{ held: HeldPartition[]; isAll: boolean }> {
    const held: HeldPartition[] = [];
    let isAll = true;
    for (const { hosted, links } of this.#modules.values()) {
      for (const [master, link] of links.entries()) {
        // A master that does not run is asked when it does.
        if (!link.attached) {
          isAll = false;
          continue;
        }
        const vnodes = await link.call("held_vnodes", null) as number[];
        for (const vnode of vnodes) {
          const each = { module: hosted.name, partition: vnode };
          held.push(each);
          const stray = this.#masterOf(vnode) !== master;
          if (stray) this.#strays.set(heldName(each), master);
          else this.#strays.delete(heldName(each));
        }
      }
    }
    return { held, isAll };
  }

  /**
   * Removes the remaining data of a vnode that moved to another node; see
   * `HandoffWorld.drop`.
   */
  async drop(
    module: string,
    vnode: number,
    atOnce: boolean = false,
  ): Promise<boolean> {
    return await this.#requireLink(module, vnode)
      .call(atOnce ? "drop_at_once" : "drop", vnode, DROP_MS) === true;
  }

  /** Has what is left of a vnode that went to another node stay; see `HandoffWorld.keep`. */
  async keep(module: string, vnode: number): Promise<void> {
    await this.#requireLink(module, vnode).call("keep", vnode);
  }

  /** Removes what a vnode holds that is to be no more. */
  async discard(module: string, vnode: number): Promise<void> {
    const master = this.#strays.get(heldName({ module, partition: vnode }));
    const { links } = this.#modules.get(moduleIdOf(module)) ?? { links: [] };
    // The size of the ring that it was for is no longer known.
    const asked = master === undefined ? links : [links[master]];
    for (const link of asked) await link?.call("discard", vnode, DROP_MS);
  }

  /** Takes back a vnode that was given up, since this node owns it again. */
  async takeBack(module: string, vnode: number): Promise<void> {
    await this.#requireLink(module, vnode).call("start_vnodes", [vnode]);
  }

  /**
   * Vnodes of owned partitions that the store of `master` has; undefined until
   * the owned partitions are set.
   */
  ownedBy(master: string): number[] | undefined {
    if (!this.#ownedKnown) return undefined;
    const number = Number(master.slice(master.lastIndexOf("-") + 1));
    return this.#owned.filter((vnode) => this.#masterOf(vnode) === number);
  }

  /**
   * Declares that the lost data of the store of `master` has been rebuilt;
   * durable when it resolves.
   */
  async tailRepaired(master: string): Promise<void> {
    for (const { hosted, links } of this.#modules.values()) {
      for (const [number, link] of links.entries()) {
        if (`${hosted.name}-${number}` !== master) continue;
        await link.call("tail_repaired", null);
        this.#tailsLost.delete(master);
        this.#options.onEvent({ type: "tail_repaired", master });
      }
    }
  }

  #requireLink(module: string, vnode: number): VnodeMasterLink {
    const link = this.#linkFor(moduleIdOf(module), vnode);
    if (link instanceof WhorlError) throw link;
    return link;
  }

  /** Those of `vnodes` that hold data in some module. */
  async holdsData(vnodes: readonly number[]): Promise<number[]> {
    const holding = new Set<number>();
    for (const { links } of this.#modules.values()) {
      for (const [master, link] of links.entries()) {
        const mine = vnodes.filter((vnode) => this.#masterOf(vnode) === master);
        if (mine.length === 0) continue;
        const found = await link.call("holds_data", mine);
        for (const vnode of found as number[]) holding.add(vnode);
      }
    }
    return [...holding].sort((a, b) => a - b);
  }

  /** Figures of every running master, by its id. */
  async stats(): Promise<Record<string, Record<string, unknown>>> {
    const stats: Record<string, Record<string, unknown>> = {};
    for (const { hosted, links } of this.#modules.values()) {
      for (const [master, link] of links.entries()) {
        if (!link.attached) continue;
        stats[`${hosted.name}-${master}`] = await link.call(
          "stats",
          null,
        ) as Record<string, unknown>;
      }
    }
    return stats;
  }

  /** Tells every vnode of a change in the cluster. */
  clusterChanged(event: ClusterEvent): void {
    for (const { links } of this.#modules.values()) {
      for (const link of links) {
        if (link.attached) link.cast("cluster_event", event);
      }
    }
  }

  /** Fails all unanswered requests, as no master will run any more. */
  close(): void {
    for (const { links } of this.#modules.values()) {
      for (const link of links) link.close();
    }
  }

  #onMasterEvent(module: string, master: string, event: unknown): void {
    const { log } = this.#options.environment;
    if (relayLogLine(event, log.child(master))) return;
    const { type, storeId, epoch, vnode } = event as Record<
      string,
      unknown
    >;
    if (
      type === "vnode_started" || type === "vnode_ended" ||
      type === "vnode_kept"
    ) {
      const number = Number(vnode);
      this.#options.onEvent({
        type,
        module,
        vnode: number,
        partition: partitionOfVnode(number),
      });
      return;
    }
    if (type === "zombie") {
      // A worker that the master itself started.
      this.#options.onEvent({ type, master });
      return;
    }
    if (type === "workers") {
      const { workers } = event as { workers: readonly TreeNode[] };
      this.#workers.set(master, workers);
      return;
    }
    if (type === "tail_lost") {
      this.#tailsLost.add(master);
      this.#options.onEvent({
        type,
        module,
        master,
        storeId: String(storeId),
        epoch: Number(epoch),
      });
      return;
    }
    this.#options.onEvent({ type: "vnode", master, event });
  }
}
