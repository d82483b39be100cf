/**
 * What strangers with the cookie can send to a node: each frame is answered
 * with an error or ends its own connection, and the node serves on.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { seededChance } from "../../src/base/chance.ts";
import { writeGetBody, writePutBody } from "../../src/kv/kv_command_codec.ts";
import { KvCommand } from "../../src/kv/kv_vnode.ts";
import {
  emptyOperationHeader,
  type OperationHeader,
  OperationKind,
  writeOperationHeader,
} from "../../src/request/operation_codec.ts";
import { writeFrame } from "../../src/wire/frame.ts";
import { FrameType } from "../../src/wire/frame_type.ts";
import { recordsOf } from "../../src/wire/testing/records.ts";
import { encodeMsgpack } from "../../src/wire/msgpack.ts";
import {
  moduleIdOf,
  writeVnodeRequestHeader,
} from "../../src/vnode/vnode_wire.ts";
import { RawPeer } from "../harness/raw_peer.ts";
import { type TestCluster, withCluster } from "../harness/test_cluster.ts";

/** What a node sends a new peer unasked: its services and its ring, and what it asks it for. */
const UNASKED = new RegExp(`^frame (2\\d|${FrameType.call})$`);
/** What ends a connection that does not keep the protocol. */
const HANGS_UP = ["goodbye", "hung_up"];

const PUT: OperationHeader = {
  ...emptyOperationHeader(),
  kind: OperationKind.put,
  moduleId: moduleIdOf("kv"),
  command: KvCommand.put,
  n: 3,
  quorum: 2,
  durable: 2,
  timeLeftMs: 5_000,
};
const GET: OperationHeader = {
  ...PUT,
  kind: OperationKind.get,
  command: KvCommand.get,
  durable: 0,
};

/** A put, or a get, whose header is as told. */
function operation(header: Partial<OperationHeader>): Uint8Array {
  const whole = {
    ...(header.kind === OperationKind.get ? GET : PUT),
    ...header,
  };
  const into = new ByteWriter(256);
  writeOperationHeader(into, whole);
  if (whole.kind === OperationKind.get) writeGetBody("bad", "key", into);
  else {
    writePutBody("bad", "key", 0, undefined, new Uint8Array([1, 2, 3]), into);
  }
  return into.copy();
}

/** An operation's payload in its frame. */
function framed(payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(payload.length + 64);
  writeFrame(into, FrameType.operation, 1, payload);
  return into.copy();
}

/** `count` arrays, each the only element of the one around it. */
function nested(count: number): Uint8Array {
  return new Uint8Array(count + 1).fill(0x91, 0, count);
}

/** Ends a test that leaves the node unable to serve. */
async function assertServes(cluster: TestCluster, value: string) {
  const { kv, running } = cluster.node(0);
  assert(running);
  const { context } = await kv.get("good", "key");
  await kv.put("good", "key", value, context === null ? {} : { context });
  assertEquals((await cluster.node(1).kv.get("good", "key")).values, [value]);
}

Deno.test("a node survives input from strangers", async (t) => {
  await withCluster({ kind: "processes", nodes: 2 }, async (cluster) => {
    await cluster.joinAll();
    const { address } = cluster.node(0);

    /** One frame on a connection of its own, and what becomes of it. */
    const refuses = (
      name: string,
      kind: "client" | "peer",
      type: number,
      payload: Uint8Array,
      expected: readonly string[],
    ) =>
      t.step(`${kind}: ${name}`, async () => {
        await using peer = await RawPeer.connect(address, kind);
        await peer.send(type, 7, payload);
        let answer = await peer.refusal();
        while (UNASKED.test(answer.code)) answer = await peer.refusal();
        assert(
          expected.includes(answer.code),
          `${answer.code}: ${answer.message}`,
        );
        await assertServes(cluster, name);
      });
    /** Waits until the node hangs up on these bytes, in no records or in good ones, on a connection of their own. */
    const hungUpOn = async (
      bytes: Uint8Array<ArrayBuffer>,
      inRecords: boolean,
    ): Promise<void> => {
      await using peer = await RawPeer.connect(address);
      if (inRecords) await peer.writeRecord(bytes);
      else await peer.write(bytes);
      const { code } = await peer.refusal();
      assert(HANGS_UP.includes(code), code);
    };
    const hangsUp = (
      name: string,
      bytes: Uint8Array<ArrayBuffer>,
      inRecords = true,
    ) =>
      t.step(name, async () => {
        await hungUpOn(bytes, inRecords);
        await assertServes(cluster, name);
      });

    const noise = new Uint8Array(100_000);
    const chance = seededChance("garbage");
    for (let i = 0; i < noise.length; i++) noise[i] = chance.below(256);
    await hangsUp("garbage", noise, false);
    await hangsUp("zeros", new Uint8Array(100), false);
    await hangsUp("a frame in no record", framed(operation({})), false);
    const changed = recordsOf(framed(operation({})));
    changed[changed.length - 1]! ^= 1;
    await hangsUp("a write whose value was changed on the way", changed, false);
    await hangsUp("garbage in records", noise);
    await hangsUp("a frame of 4 GiB", new Uint8Array(20).fill(0xff));
    await hangsUp("a frame shorter than its header", new Uint8Array(20));
    // The node gives both the same time to go on.
    await t.step("a truncated record, and a partial frame", async () => {
      const begun = new Uint8Array([0, 0, 1, 0, FrameType.operation, 0]);
      await Promise.all([
        hungUpOn(recordsOf(noise).slice(0, 999), false),
        hungUpOn(begun, true),
      ]);
      await assertServes(cluster, "begun");
    });

    const { call, callReply, operationReply, operationError } = FrameType;
    await refuses(
      "a bomb in a call",
      "client",
      call,
      nested(100_000),
      HANGS_UP,
    );
    await refuses(
      "a call that claims 4 billion elements",
      "client",
      call,
      new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff]),
      HANGS_UP,
    );
    await refuses("an empty call", "client", call, new Uint8Array(0), HANGS_UP);
    for (
      const [method, args, code] of [
        ["no_such_method", null, "unknown_command"],
        ["__proto__", null, "unknown_command"],
        ["constructor", null, "unknown_command"],
        ["cluster_join", { node: 5 }, "invalid_argument"],
        ["cluster_join", null, "invalid_argument"],
        ["cluster_join", { node: "x@y" }, "not_reachable"],
        [
          "cluster_join",
          { node: "x@y", address: "a".repeat(1_001) },
          "invalid_argument",
        ],
        [
          "cluster_join",
          { node: "a".repeat(10 * 1024 * 1024) },
          "invalid_argument",
        ],
        ["cluster_commit", { planId: "a".repeat(1_001) }, "invalid_argument"],
        ["cluster_join", { node: "x@y", address: "nonsense" }, "any"],
        ["cluster_commit", { planId: ["x"] }, "invalid_argument"],
      ] as const
    ) {
      await t.step(
        `a call of ${method} with ${JSON.stringify(args)?.slice(0, 60)}`,
        async () => {
          await using peer = await RawPeer.connect(address);
          await peer.send(call, 1, encodeMsgpack([method, args, 1_000]));
          const answer = await peer.refusal();
          if (code === "any") assert(answer.code.length > 0 && answer.message);
          else assertEquals(answer.code, code, answer.message);
          assert(answer.code !== "internal", answer.message);
          await assertServes(cluster, method);
        },
      );
    }
    await refuses("an unknown type", "client", 200, noise.subarray(0, 9), [
      "unknown_type",
    ]);
    for (
      const type of [
        FrameType.vnodeRequest,
        FrameType.vnodeReply,
        operationReply,
        operationError,
        callReply,
        FrameType.callError,
        FrameType.ring,
        FrameType.ringDigest,
        FrameType.services,
        FrameType.joinRequest,
      ]
    ) {
      await refuses(
        `a client that sends type ${type} as if it were a peer`,
        "client",
        type,
        operation({}),
        ["unknown_type"],
      );
    }

    await t.step("operations truncated at every byte", async () => {
      await using peer = await RawPeer.connect(address);
      const whole = operation({ kind: OperationKind.put });
      for (let length = 0; length < whole.length; length++) {
        await peer.send(FrameType.operation, length, whole.subarray(0, length));
        const frame = await peer.next();
        // What is left of a value is a smaller value, unless its length is told.
        if (frame?.type === FrameType.operationReply) {
          assert(length >= whole.length - 3, `${length} of ${whole.length}`);
          continue;
        }
        assertEquals(frame?.type, operationError, `${length}`);
        assertEquals(frame?.correlation, length);
      }
      await assertServes(cluster, "cut short");
    });
    for (
      const [name, header, codes] of [
        ["kind", { kind: 9 }, ["protocol_error"]],
        ["module", { moduleId: 1 }, ["invalid_argument"]],
        ["command of a request", {
          kind: OperationKind.request,
          command: 200,
        }, ["quorum_unavailable", "unknown_command"]],
      ] as const
    ) {
      await refuses(
        `an operation of an unknown ${name}`,
        "client",
        FrameType.operation,
        operation(header),
        codes,
      );
    }
    for (
      const header of [
        { n: 0 },
        { n: 9 },
        { n: 255 },
        { quorum: 0 },
        { quorum: 4 },
        { primaries: 4 },
        { durable: 4 },
        { nodeConfirms: 4 },
        { n: 1, quorum: 2 },
        { timeLeftMs: 0 },
        { timeLeftMs: 0xffff_ffff },
        { kind: OperationKind.get, quorum: 0 },
        { kind: OperationKind.get, durable: 1 },
      ]
    ) {
      await refuses(
        `an operation with ${JSON.stringify(header)}`,
        "client",
        FrameType.operation,
        operation(header),
        ["invalid_quorum"],
      );
    }
    await t.step("hand-made keys and bodies", async () => {
      await using peer = await RawPeer.connect(address);
      const bodies: [string, number[]][] = [
        ["no key", [0, 0]],
        ["no bucket", [0, 3, 0, 0, 65]],
        ["no key in a bucket", [0, 3, 0, 1, 65]],
        ["a bucket longer than the key", [0, 3, 0, 9, 65]],
        ["a key longer than the frame", [255, 255, 0, 1, 65, 65]],
        ["no body", [0, 4, 0, 1, 65, 65]],
        ["flags nobody knows", [0, 4, 0, 1, 65, 65, 255, 0, 0, 0, 0, 1]],
        ["a context that is none", [0, 4, 0, 1, 65, 65, 0, 0, 0, 0, 2, 9, 9]],
        ["a context of 4 GiB", [0, 4, 0, 1, 65, 65, 0, 255, 255, 255, 255]],
      ];
      for (const [name, body] of bodies) {
        const into = new ByteWriter(64);
        writeOperationHeader(into, PUT);
        into.raw(Uint8Array.from(body));
        await peer.send(FrameType.operation, 1, into.copy());
        const { code, message } = await peer.refusal();
        assert(
          ["protocol_error", "invalid_key", "invalid_context"].includes(code),
          `${name}: ${code} ${message}`,
        );
      }
      await assertServes(cluster, "by hand");
    });

    for (
      const type of [
        FrameType.ringDigest,
        FrameType.ring,
        FrameType.services,
        FrameType.joinRequest,
        FrameType.joinReply,
      ]
    ) {
      for (
        const [name, payload] of [
          ["a bomb", nested(50_000)],
          ["garbage", noise.subarray(0, 500)],
          ["nothing", new Uint8Array(0)],
          ["another message", encodeMsgpack([{ a: [1, null] }])],
        ] as const
      ) {
        await refuses(
          `${name} as type ${type}`,
          "peer",
          type,
          payload,
          HANGS_UP,
        );
      }
    }
    await refuses(
      "a vnode request cut short",
      "peer",
      FrameType.vnodeRequest,
      new Uint8Array(5),
      HANGS_UP,
    );
    for (
      const [name, module, partition, command, code] of [
        ["an unknown module", "unheard_of", 0, 0, "invalid_argument"],
        ["a partition past the ring", "kv", 65_535, 0, "invalid_argument"],
        ["an unknown command", "kv", 0, 250, "unknown_command"],
        [
          "a command without its body",
          "kv",
          0,
          KvCommand.put,
          "protocol_error",
        ],
        ["a merge of nothing", "kv", 0, KvCommand.merge, "protocol_error"],
      ] as const
    ) {
      const request = new ByteWriter(64);
      writeVnodeRequestHeader(
        request,
        moduleIdOf(module),
        partition,
        command,
        0,
        1_000,
      );
      await refuses(
        `a vnode request for ${name}`,
        "peer",
        FrameType.vnodeRequest,
        request.copy(),
        [code],
      );
    }
    await t.step(
      "answers to requests that nobody sent are ignored",
      async () => {
        await using peer = await RawPeer.connect(address, "peer");
        for (
          const type of [
            FrameType.vnodeReply,
            FrameType.vnodeAccepted,
            FrameType.vnodeError,
            operationReply,
            operationError,
            callReply,
            FrameType.callError,
            FrameType.pong,
          ]
        ) {
          await peer.send(type, 2 ** 40 + type, noise.subarray(0, 40));
        }
        await peer.send(200, 5, new Uint8Array(0));
        let answer = await peer.refusal();
        while (UNASKED.test(answer.code)) answer = await peer.refusal();
        assertEquals(answer.code, "unknown_type");
        await assertServes(cluster, "unasked");
      },
    );
  });
});
