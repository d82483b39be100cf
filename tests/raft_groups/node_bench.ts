/**
 * A node alone, with its Raft groups on a simulated disk.
 *
 * @module
 */
import { ByteReader } from "../../src/base/byte_reader.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { seededChance } from "../../src/base/chance.ts";
import { WhorlError } from "../../src/base/errors.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { silentLog } from "../../src/environment/log.ts";
import { RA_KV_MACHINE } from "../../src/ra_kv/ra_kv_command_codec.ts";
import { raKvMachine } from "../../src/ra_kv/ra_kv_machine.ts";
import type { GroupProcess } from "../../src/raft/group_process.ts";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import type { RaftMachine } from "../../src/raft/machine.ts";
import type { AppliedCommand, NewMember } from "../../src/raft/raft_member.ts";
import type { RaftMessage } from "../../src/raft/raft_message.ts";
import { readRaftMessage } from "../../src/raft/raft_message_codec.ts";
import { RAFT_LOG_SIZES_DEFAULT } from "../../src/raft/raft_log_sizes.ts";
import { RaftSystemProcess } from "../../src/raft/raft_system.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { FrameType } from "../../src/wire/frame_type.ts";
import { replaceFile } from "../../src/storage/atomic_file.ts";

/** Before a message, the frame says the group and the life of the sender. */
const GROUP_AND_UID_BYTES = 12;

/** Name of the group. */
export const GROUP = "g";

/** A member of it on this node, and others if they are named. */
export function member(uid: number, groupId = 1, nodes = ["a@h"]): NewMember {
  return {
    group: GROUP,
    groupId,
    uid,
    machine: RA_KV_MACHINE,
    initial: nodes.map((node) => ({ node, uid, kind: "voter", target: 0 })),
  };
}

/** A node's groups on a disk, and what it says about them. */
export class NodeBench {
  readonly bench: DiskBench;
  readonly said: string[] = [];
  readonly ended: string[] = [];
  /** What it asked other nodes, none of which answers. */
  readonly called: string[] = [];
  environment!: StorageEnvironment;
  logs!: RaftLogs;
  system!: RaftSystemProcess;
  /** Hears what members here say to others, if anybody is to; nothing arrives anywhere. */
  heard: ((to: string, message: RaftMessage) => void) | undefined;
  /** Comes between the opening of the logs and the start of the members. */
  beforeStart: (() => Promise<void>) | undefined;

  readonly #machine: RaftMachine;

  /** @param machine What the groups agree about. @default {ra_kv} */
  constructor(seed: string, machine = raKvMachine() as RaftMachine) {
    this.bench = new DiskBench(seed);
    this.#machine = machine;
  }

  /** Begins a life. */
  async begin(): Promise<void> {
    this.environment = this.bench.live();
    this.logs = await openRaftLogs({
      folder: "/raft",
      environment: this.environment,
    });
    let writing: { to: string; into: ByteWriter } | undefined;
    const say = (text: string): void => void this.said.push(text);
    this.system = new RaftSystemProcess({
      node: "a@h",
      runtime: this.environment,
      wallClock: () => 0,
      chance: seededChance(1),
      log: { ...silentLog, error: say, warn: say },
      logs: this.logs,
      machines: new Map([[RA_KV_MACHINE, this.#machine]]),
      snapshotEntriesMin: RAFT_LOG_SIZES_DEFAULT.snapshotEntriesMin,
      begin: (to, frameType) => {
        if (this.heard === undefined || frameType !== FrameType.raftMessage) {
          return undefined;
        }
        writing = { to, into: new ByteWriter(256) };
        return writing.into;
      },
      end: () => {
        if (writing === undefined) return;
        const { to, into } = writing;
        writing = undefined;
        const reader = new ByteReader(into.copy(), GROUP_AND_UID_BYTES);
        this.heard?.(to, readRaftMessage(reader));
      },
      isUp: () => false,
      secretNumber: () => 999,
      call: (to, method) => {
        this.called.push(`${method} ${to}`);
        return Promise.reject(new WhorlError("not_reachable", "alone"));
      },
      connect: () => Promise.reject(new WhorlError("not_reachable", "alone")),
      onReport: (report) => void this.ended.push(report.type),
      failed: (error) => say(error.message),
    });
    await this.beforeStart?.();
    await this.system.start();
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.bench.run(promise);
  }

  async again(): Promise<void> {
    this.bench.crash("process");
    await this.run(this.begin());
  }

  /** Lets the only member lead. */
  async lead(): Promise<GroupProcess> {
    const there = this.system.member(GROUP)!;
    there.standNow();
    await this.bench.time.run(Infinity, () => there.leads);
    return there;
  }

  /** Lets the only member lead and carry out `command`. */
  async propose(command: Uint8Array): Promise<string> {
    const there = await this.lead();
    const { promise, resolve } = Promise.withResolvers<string>();
    there.propose(command, {
      done: ({ meta }: AppliedCommand) => resolve(`at ${meta.index}`),
      failed: resolve,
    });
    return await this.run(promise);
  }

  get uids(): number[] {
    return this.logs.groups.map(({ uid }) => uid);
  }

  get folders(): Promise<string[]> {
    return this.run(this.environment.disk.names("/raft/groups"));
  }

  /** Makes a file of a member unreadable, while nobody runs. */
  async spoil(path: string): Promise<void> {
    const { disk } = this.bench.live();
    const bytes = (await this.run(disk.readFile(path)))!;
    bytes[bytes.length - 3]! ^= 1;
    await this.run(replaceFile(disk, path, bytes));
  }
}
