import { assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { GroupProcess } from "./group_process.ts";
import type { SnapshotReceiver } from "./log/raft_log.ts";
import type { StateDecoder } from "./machine.ts";
import type { SnapshotMeta } from "./raft_entry.ts";
import { writeOffer } from "./snapshot_calls.ts";
import { SnapshotReceivers } from "./snapshot_receivers.ts";

const snapshot: SnapshotMeta = {
  index: 9,
  term: 2,
  membership: { index: 0, members: [] },
  machineVersion: 0,
};

/** A member whose core wants one snapshot at a time, as `following.ts` does. */
class WantingMember {
  readonly said: string[] = [];
  readonly appliedIndex = 0;
  receivers: SnapshotReceivers | undefined;
  receipt = false;
  /** What the disk waits for before it begins. */
  disk: Promise<void> = Promise.resolve();
  installing: Promise<void> = Promise.resolve();
  readonly log = {
    receiveSnapshot: async (): Promise<SnapshotReceiver> => {
      await this.disk;
      return {
        writeLive: () => Promise.resolve(),
        writeState: () => Promise.resolve(),
        finish: () => Promise.resolve(),
        abort: () => {
          this.said.push("receiver aborted");
          return Promise.resolve();
        },
      };
    },
  };

  message(_from: string, _uid: number, message: { transfer: number }): void {
    if (this.receipt) return;
    this.receipt = true;
    this.receivers?.expect("g", message.transfer);
  }

  snapshotAborted(): void {
    this.receipt = false;
    this.said.push("told of its end");
  }

  stateDecoder(): StateDecoder<string> {
    let state = "";
    return {
      add: (piece) => {
        if (piece.length === 0) throw new WhorlError("protocol_error", "empty");
        state += `${piece.length} `;
      },
      end: () => state,
    };
  }

  async installSnapshot(
    _snapshot: SnapshotMeta,
    _receiver: SnapshotReceiver,
    state: string,
  ): Promise<void> {
    await this.installing;
    this.receipt = false;
    this.said.push(`installed ${state}`.trim());
  }
}

function receiving() {
  const member = new WantingMember();
  const runtime = new ManualRuntime();
  const receivers = new SnapshotReceivers(
    runtime,
    () => member as unknown as GroupProcess,
  );
  member.receivers = receivers;
  const send = (
    connection: object,
    transfer: number,
    what: string,
    byteCount: number,
  ) =>
    receivers.call(connection, "a@h", `raft_snapshot_${what}`, {
      group: "g",
      transfer,
      bytes: new Uint8Array(byteCount),
    });
  const begin = (transfer: number, connection: object = {}) =>
    receivers.call(
      connection,
      "a@h",
      "raft_snapshot_begin",
      writeOffer({ group: "g", uid: 1, term: 2, transfer, snapshot }),
    );
  return { member, receivers, runtime, begin, send };
}

Deno.test("a snapshot that is offered again while the first is in transit replaces it", async () => {
  const { member, begin, receivers, runtime } = receiving();
  const connection = {};
  await begin(1);
  await begin(2, connection);
  assertEquals(member.said, ["receiver aborted", "told of its end"]);
  await receivers.call(connection, "a@h", "raft_snapshot_end", {
    group: "g",
    transfer: 2,
    bytes: new Uint8Array(0),
  });
  assertEquals(member.said.at(-1), "installed");
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("a state is decoded while it arrives, and refused as soon as it is invalid", async () => {
  const { member, begin, send, runtime } = receiving();
  const connection = {};
  await begin(1, connection);
  await send(connection, 1, "state", 10);
  await send(connection, 1, "state", 20);
  await send(connection, 1, "end", 0);
  assertEquals(member.said.splice(0), ["installed 10 20"]);
  await begin(2, connection);
  await send(connection, 2, "state", 10);
  await assertRejects(() => send(connection, 2, "state", 0), WhorlError);
  assertEquals(member.said, ["receiver aborted", "told of its end"]);
  await assertRejects(
    () => send(connection, 2, "end", 0),
    WhorlError,
    "not wanted",
  );
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("a member that aborts a snapshot is told of its end, even while the disk begins", async () => {
  const { member, begin, receivers, runtime } = receiving();
  await begin(1);
  receivers.forget("g");
  assertEquals(member.said, ["receiver aborted", "told of its end"]);
  const { promise, resolve } = Promise.withResolvers<void>();
  member.disk = promise;
  const late = assertRejects(() => begin(2), WhorlError, "not wanted");
  receivers.forget("g");
  resolve();
  await late;
  assertEquals(member.said.length, 4);
  assertEquals([member.receipt, runtime.pendingTimers], [false, 0]);
});

Deno.test("a snapshot that is being installed is not aborted for another one", async () => {
  const { member, begin, receivers } = receiving();
  const connection = {};
  await begin(1, connection);
  const { promise, resolve } = Promise.withResolvers<void>();
  member.installing = promise;
  const ending = receivers.call(connection, "a@h", "raft_snapshot_end", {
    group: "g",
    transfer: 1,
    bytes: new Uint8Array(0),
  });
  await assertRejects(() => begin(2), WhorlError, "not wanted");
  receivers.connectionEnded(connection);
  resolve();
  await ending;
  assertEquals(member.said, ["installed"]);
});
