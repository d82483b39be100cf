import { assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { TurnClock } from "../environment/turn_clock.ts";
import type { Link } from "../transport/link.ts";
import {
  beginBatch,
  HandoffAction,
  sealBatch,
  writeHandoffBatch,
  writeHandoffFinish,
  writeHandoffOpen,
} from "../vnode/handoff_codec.ts";
import {
  moduleIdOf,
  RequestFlag,
  writeVnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { hasLeftCluster } from "./departure.ts";
import { HeldByNode, LinkAnswers } from "./link_answers.ts";
import { type NodeParts, present } from "./node_parts.ts";
import { fetchJoinOffer, frameHandler } from "./transport_sup.ts";

/** A node's end of links: what reaches its vnodes, and how they are answered. */
class Bench {
  readonly runtime = new ManualRuntime();
  /** Requests that reached vnodes. */
  relayed = 0;
  /** Types of the frames that reached Raft groups. */
  readonly toGroups: number[] = [];
  /** Transfers whose frames were checked: number, module, partition. */
  readonly required: number[][] = [];
  /** The last of them. */
  asked: { target: AnswerTarget; correlation: number } | undefined;
  letIn = true;
  /** Whether the peer has not heard of a change. */
  isLate = false;
  hasLeft = false;
  readonly answers: string[] = [];
  readonly link: Link;
  readonly #handle: ReturnType<typeof frameHandler>;

  constructor(kind: "peer" | "bulk" | "client") {
    const writer = new ByteWriter();
    let type = 0;
    this.link = {
      peer: { name: "b@host", kind },
      bufferedBytes: 0,
      closed: undefined,
      begin(frameType: number) {
        type = frameType;
        writer.clear();
        return writer;
      },
      end: () => {
        this.answers.push(
          type === FrameType.vnodeError
            ? readFailure(writer.view()).code
            : type === FrameType.unknownType
            ? "unknown type"
            : `${type}`,
        );
      },
    } as unknown as Link;
    const answers = new LinkAnswers(
      this.link,
      new TurnClock(this.runtime),
      new HeldByNode(),
      () => this.departure(),
    );
    const unused = (): never => {
      throw new Error("nobody asks for that");
    };
    this.#handle = frameHandler(
      {
        departure: () => this.departure(),
        vnodes: {
          relay: (target: AnswerTarget, correlation: number) => {
            this.relayed++;
            this.asked = { target, correlation };
          },
        },
        raft: {
          handleFrame: (_from: string, type: number) =>
            this.toGroups.push(type),
        },
        door: {
          refuse: () =>
            this.isLate
              ? new WhorlError("ring_not_ready", "it has not heard")
              : undefined,
        },
        transfers: {
          inbound: {
            took: () => {},
            require: (_connection: object, ...of: number[]) => {
              this.required.push(of);
              if (this.letIn) return;
              throw new WhorlError("handoff_refused", "not let begin");
            },
          },
        },
      } as unknown as NodeParts,
      {} as never,
      () => answers,
      unused,
      () =>
        ({
          watch: (_b: unknown, _s: unknown, _e: unknown, t: unknown) => t,
        }) as never,
      unused,
    );
  }

  departure(): WhorlError | undefined {
    return this.hasLeft ? hasLeftCluster("a@host") : undefined;
  }

  send(flags: number, write: (into: ByteWriter) => void): void {
    const into = new ByteWriter();
    writeVnodeRequestHeader(into, moduleIdOf("kv"), 3, 0, flags, 1_000);
    write(into);
    this.sendFrame(FrameType.vnodeRequest, into.copy());
  }

  sendFrame(type: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#handle(this.link, type, 0, 7, bytes, 0, bytes.length);
  }
}

function batch(into: ByteWriter): void {
  writeHandoffBatch(into, 9);
  const sealed = new ByteWriter();
  beginBatch(sealed);
  sealBatch(sealed, 1, 0);
  into.raw(sealed.view());
}

/**
 * Requests that a peer might forge: for the target, and for the source, which
 * only its own node may ask.
 */
const parts: ((into: ByteWriter) => void)[] = [
  batch,
  (into) => into.u8(HandoffAction.offer),
  (into) => writeHandoffFinish(into, 9, 1, "b@host"),
  (into) =>
    writeHandoffOpen(into, {
      transfer: 9,
      mode: 0,
      target: { node: "b@host", partition: 3 },
      keySpaces: null,
    }),
  () => {},
];

Deno.test("frameHandler() refuses each part of a handoff over the link of a peer, whatever other flags it has", () => {
  for (const write of parts) {
    for (
      const flag of [0, RequestFlag.coverage, RequestFlag.asFallback, 0xf7]
    ) {
      const bench = new Bench("peer");
      bench.send(RequestFlag.handoff | flag, write);
      assertEquals([bench.answers, bench.relayed], [["handoff_refused"], 0]);
    }
  }
  const bench = new Bench("peer");
  bench.send(RequestFlag.asFallback, () => {});
  bench.send(RequestFlag.coverage, () => {});
  assertEquals([bench.answers, bench.relayed], [[], 2]);
});

Deno.test("frameHandler() refuses a peer that has not heard of a change this node follows", () => {
  const bench = new Bench("peer");
  bench.isLate = true;
  bench.send(0, () => {});
  bench.send(RequestFlag.coverage, () => {});
  assertEquals([bench.answers, bench.relayed], [
    ["ring_not_ready", "ring_not_ready"],
    0,
  ]);
});

Deno.test("frameHandler() passes nothing to the vnodes of a node that has left", () => {
  for (const kind of ["peer", "bulk"] as const) {
    const bench = new Bench(kind);
    bench.hasLeft = true;
    bench.send(kind === "bulk" ? RequestFlag.handoff : 0, batch);
    assertEquals([bench.answers, bench.relayed], [["closed"], 0]);
  }
});

Deno.test("frameHandler() passes messages of Raft groups on though the node has left, as their members are others", () => {
  const types = [
    FrameType.raftMessage,
    FrameType.raftHeartbeats,
    FrameType.raftHeartbeatsReply,
  ];
  for (const hasLeft of [false, true]) {
    const bench = new Bench("peer");
    bench.hasLeft = hasLeft;
    for (const type of types) bench.sendFrame(type, new Uint8Array(16));
    assertEquals([bench.toGroups, bench.answers], [types, []]);
  }
});

Deno.test("frameHandler() passes on no success of a vnode after the node has left, neither to peers nor in handoffs", () => {
  for (const kind of ["peer", "bulk"] as const) {
    for (const type of [FrameType.vnodeReply, FrameType.vnodeAccepted]) {
      const answersOf = (hasLeft: boolean): string[] => {
        const bench = new Bench(kind);
        bench.send(kind === "bulk" ? RequestFlag.handoff : 0, batch);
        bench.hasLeft = hasLeft;
        const { target, correlation } = present(bench.asked, "request");
        target.vnodeAnswer(type, correlation, new Uint8Array(8), 0, 8);
        return bench.answers;
      };
      assertEquals([answersOf(false), answersOf(true)], [
        [`${type}`],
        ["closed"],
      ]);
    }
  }
});

Deno.test("frameHandler() accepts no request for a vnode from a client", () => {
  const bench = new Bench("client");
  bench.send(RequestFlag.handoff, batch);
  bench.send(0, () => {});
  assertEquals([bench.answers, bench.relayed], [
    ["unknown type", "unknown type"],
    0,
  ]);
});

Deno.test("frameHandler() passes a batch from a bulk link to the vnode for which the transfer began on that link", () => {
  const bench = new Bench("bulk");
  bench.send(RequestFlag.handoff, batch);
  assertEquals([bench.relayed, bench.required], [1, [[
    9,
    moduleIdOf("kv"),
    3,
  ]]]);
  bench.letIn = false;
  bench.send(RequestFlag.handoff, batch);
  assertEquals([bench.answers, bench.relayed], [["handoff_refused"], 1]);
});

Deno.test("frameHandler() ends a bulk link over which anything else is asked", () => {
  for (const write of parts.slice(2)) {
    const bench = new Bench("bulk");
    let code: string | undefined;
    try {
      bench.send(RequestFlag.handoff, write);
    } catch (error) {
      code = (error as WhorlError).code;
    }
    assertEquals([code, bench.relayed], ["protocol_error", 0]);
  }
  const bench = new Bench("bulk");
  let code: string | undefined;
  try {
    bench.send(0, batch);
  } catch (error) {
    code = (error as WhorlError).code;
  }
  assertEquals([code, bench.relayed], ["protocol_error", 0]);
});

Deno.test("fetchJoinOffer() asks over a new link when the one there was is being closed, once", async () => {
  let connections = 0;
  const offered = new Uint8Array([1]);
  const parts = (answers: readonly unknown[]): NodeParts =>
    ({
      links: { connectTo: () => Promise.resolve({ number: connections++ }) },
      calls: {
        call: ({ number }: { number: number }) => {
          const answer = answers[number];
          return answer instanceof Error
            ? Promise.reject(answer)
            : Promise.resolve(answer);
        },
      },
    }) as unknown as NodeParts;
  const removed = new WhorlError(
    "connection_closed",
    "The connection ended: removed",
  );
  assertEquals(
    await fetchJoinOffer(parts([removed, offered]), "a:1"),
    offered,
  );
  assertEquals(connections, 2);
  for (
    const answers of [[removed, removed], [
      new WhorlError("wrong_cluster", "no"),
    ]]
  ) {
    connections = 0;
    const error = await assertRejects(
      () => fetchJoinOffer(parts(answers), "a:1"),
      WhorlError,
    );
    assertEquals([error, connections], [answers.at(-1), answers.length]);
  }
});
