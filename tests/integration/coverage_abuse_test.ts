/**
 * What strangers with the cookie, careless callers and careless modules can do
 * with coverage queries, on nodes in processes of their own: each is told what
 * is wrong, nothing stays behind, and the nodes serve on.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ByteReader } from "../../src/base/byte_reader.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import {
  type ErrorCode,
  isWhorlError,
  WhorlError,
} from "../../src/base/errors.ts";
import { COVERAGE_QUERIES_MAX_DEFAULT } from "../../src/node/node_options.ts";
import {
  readCoveragePage,
  writeCoverageFollowUp,
  writeCoverageHeader,
} from "../../src/request/coverage_page_codec.ts";
import { COVERAGE_BODY_BYTES_MAX } from "../../src/request/coverage_process.ts";
import { OPERATION_BYTES_MAX } from "../../src/request/coordinators.ts";
import {
  OperationKind,
  readOperationResult,
} from "../../src/request/operation_codec.ts";
import {
  COVERAGE_CHUNK_BYTES_MAX,
  writeCoverageAction,
  writeCoverageOpen,
} from "../../src/vnode/coverage_codec.ts";
import { COVERAGE_STREAMS_MAX } from "../../src/vnode/coverage_streams.ts";
import {
  moduleIdOf,
  RequestFlag,
  writeVnodeRequestHeader,
} from "../../src/vnode/vnode_wire.ts";
import { FrameType } from "../../src/wire/frame_type.ts";
import { encodeMsgpack } from "../../src/wire/msgpack.ts";
import muteModule from "../fixtures/mute_vnode.ts";
import { PLACEMENTS } from "../harness/placed_cluster.ts";
import { type RawFrame, RawPeer } from "../harness/raw_peer.ts";
import { type TestCluster, withCluster } from "../harness/test_cluster.ts";

const MUTE_URL = new URL("../fixtures/mute_vnode.ts", import.meta.url).href;
const MUTE = moduleIdOf("mute");
const QUERIES = Object.keys(muteModule.coverage);
/** A node that holds what a hundred queries may leave in it has less memory than this. */
const RSS_BYTES_MAX = 1024 ** 3;
/** Somebody who is gone has no queries any more after this time, in milliseconds. */
const PROMPT_MS = 5_000;
const SILENCE = QUERIES.indexOf("silence");
const ENDLESS = QUERIES.indexOf("endless");
const { operation, operationReply, operationError } = FrameType;
const { vnodeRequest, vnodeReply, vnodeError } = FrameType;
const ANSWERS: readonly number[] = [
  operationReply,
  operationError,
  vnodeReply,
  vnodeError,
];

interface Begin {
  module?: number;
  command?: number;
  n?: number;
  coverage?: number;
  timeLeftMs?: number;
  idleMs?: number;
  body?: Uint8Array;
}

/** An operation that begins a query, the silent one unless told otherwise. */
function begin(of: Begin = {}): Uint8Array {
  const into = new ByteWriter(256);
  writeCoverageHeader(into, {
    kind: OperationKind.coverage,
    flags: 0,
    moduleId: of.module ?? MUTE,
    command: of.command ?? SILENCE,
    timeLeftMs: of.timeLeftMs ?? 60_000,
    n: of.n ?? 3,
    primaryVnodeCoverage: of.coverage ?? 1,
  });
  into.u32(of.idleMs ?? 60_000);
  into.raw(of.body ?? encodeMsgpack(null));
  return into.copy();
}

function followUp(
  kind: typeof OperationKind.coverageMore | typeof OperationKind.coverageCancel,
  query: number,
): Uint8Array {
  const into = new ByteWriter(64);
  writeCoverageFollowUp(
    into,
    kind,
    { moduleId: MUTE, command: SILENCE, timeLeftMs: 60_000 },
    query,
  );
  return into.copy();
}

/** A request that a vnode does something with a stream. */
function streamRequest(
  partition: number,
  query: number,
  write: (into: ByteWriter) => void,
): Uint8Array {
  const into = new ByteWriter(128);
  writeVnodeRequestHeader(
    into,
    MUTE,
    partition,
    query,
    RequestFlag.coverage,
    60_000,
  );
  write(into);
  return into.copy();
}

function openSilent(partition: number, stream: number): Uint8Array {
  return streamRequest(partition, SILENCE, (into) => {
    writeCoverageOpen(into, stream, 60_000, null);
    into.raw(encodeMsgpack(null));
  });
}

/** The next answer: a peer also hears news of the ring and of services. */
async function nextAnswer(peer: RawPeer): Promise<RawFrame> {
  for (;;) {
    const frame = await peer.next();
    if (frame === null) throw new Error("The node has hung up");
    if (ANSWERS.includes(frame.type)) return frame;
  }
}

/** Sends a query's operation and returns what the page says of it. */
async function pageOf(peer: RawPeer, bytes: Uint8Array) {
  await peer.send(operation, 1, bytes);
  const frame = await nextAnswer(peer);
  assertEquals(frame.type, operationReply);
  const { object } = readOperationResult(new ByteReader(frame.payload));
  return readCoveragePage(new ByteReader(object!));
}

async function assertServes({ nodes }: TestCluster): Promise<void> {
  const listing = nodes[0]!.kv.keys("good");
  assertEquals(await Array.fromAsync(listing), ["key"]);
  assertEquals(listing.report?.complete, true);
}

async function refusedWith(
  code: ErrorCode,
  items: AsyncIterable<unknown>,
): Promise<WhorlError> {
  const error = await assertRejects(() => Array.fromAsync(items), WhorlError);
  assertEquals(error.code, code, error.message);
  return error;
}

/** Waits until the first node takes coverage queries again; they are refused while somebody has them all. */
async function untilTaken(cluster: TestCluster): Promise<void> {
  const endMs = performance.now() + PROMPT_MS;
  for (;;) {
    try {
      return await assertServes(cluster);
    } catch (error) {
      if (!isWhorlError(error, "overload")) throw error;
      assert(performance.now() < endMs, "queries of a client that is gone");
    }
  }
}

for (const coordinatorPlacement of PLACEMENTS) {
  Deno.test(`nodes with coordinators placed as ${coordinatorPlacement} survive abuse of coverage queries`, async (t) => {
    const options = {
      kind: "processes",
      nodes: 2,
      placement: "worker",
      modules: [MUTE_URL],
      each: () => ({ coordinatorPlacement }),
    } as const;
    await withCluster(options, async (cluster) => {
      await cluster.joinAll();
      const first = cluster.node(0);
      await first.kv.put("good", "key", 1);

      await t.step("operations truncated at every byte", async () => {
        for (
          const whole of [
            begin(),
            followUp(OperationKind.coverageMore, 7),
            followUp(OperationKind.coverageCancel, 7),
          ]
        ) {
          await using peer = await RawPeer.connect(first.address);
          for (let length = 0; length < whole.length; length++) {
            await peer.send(operation, length, whole.subarray(0, length));
            const { type, correlation } = await nextAnswer(peer);
            assertEquals(correlation, length);
            // Without a body it has begun, and vnodes refuse it.
            const begins = whole[0] === OperationKind.coverage &&
              length === whole.length - 1;
            assertEquals(type, begins ? operationReply : operationError);
          }
        }
        await assertServes(cluster);
      });

      await t.step("invalid queries", async () => {
        const cases: [Begin, ErrorCode][] = [
          [{ n: 0 }, "invalid_argument"],
          [{ n: 17 }, "invalid_argument"],
          [{ n: 255 }, "invalid_argument"],
          [{ coverage: 0 }, "invalid_argument"],
          [{ coverage: 4 }, "invalid_argument"],
          [{ timeLeftMs: 0 }, "invalid_argument"],
          [{ timeLeftMs: 0xffff_ffff }, "invalid_argument"],
          [{ idleMs: 0 }, "invalid_argument"],
          [{ idleMs: 0xffff_ffff }, "invalid_argument"],
          [{ module: 1 }, "invalid_argument"],
          [
            { body: new Uint8Array(COVERAGE_BODY_BYTES_MAX + 1) },
            "frame_too_large",
          ],
          [
            { body: new Uint8Array(OPERATION_BYTES_MAX - 22) },
            "frame_too_large",
          ],
        ];
        for (const [of, code] of cases) {
          await using peer = await RawPeer.connect(first.address);
          await peer.send(operation, 3, begin(of));
          const answer = await peer.refusal();
          assertEquals(answer.code, code, answer.message);
        }
        // Only the vnodes know that these are none.
        const refused: [Begin, ErrorCode][] = [
          [{ command: 200 }, "unknown_command"],
          [
            { module: moduleIdOf("kv"), command: 0, body: new Uint8Array(0) },
            "invalid_key",
          ],
          [
            {
              module: moduleIdOf("kv"),
              command: 0,
              body: new Uint8Array(70_000),
            },
            "invalid_key",
          ],
          [
            { body: new Uint8Array(COVERAGE_BODY_BYTES_MAX).fill(0x91) },
            "protocol_error",
          ],
        ];
        for (const [of, code] of refused) {
          await using peer = await RawPeer.connect(first.address);
          const { query } = await pageOf(peer, begin(of));
          await peer.send(
            operation,
            4,
            followUp(OperationKind.coverageMore, query),
          );
          const answer = await peer.refusal();
          assertEquals(answer.code, code, answer.message);
        }
        await assertServes(cluster);
      });

      await t.step("unknown and concurrent follow-ups", async () => {
        await using peer = await RawPeer.connect(first.address);
        await peer.send(operation, 1, followUp(OperationKind.coverageMore, 7));
        assertEquals((await peer.refusal()).code, "coordinator_lost");
        await peer.send(
          operation,
          2,
          followUp(OperationKind.coverageCancel, 7),
        );
        assertEquals((await nextAnswer(peer)).type, operationReply);
        const { query } = await pageOf(peer, begin());
        const more = followUp(OperationKind.coverageMore, query);
        await peer.send(operation, 3, more);
        await peer.send(operation, 4, more);
        const twice = await nextAnswer(peer);
        assertEquals([twice.type, twice.correlation], [operationError, 4]);
        await peer.send(
          operation,
          5,
          followUp(OperationKind.coverageCancel, query),
        );
        const ended = [await nextAnswer(peer), await nextAnswer(peer)];
        assertEquals(
          ended.map(({ type, correlation }) => [type, correlation]).sort(),
          [[operationReply, 5], [operationError, 3]].sort(),
        );
        await assertServes(cluster);
      });

      await t.step(
        "as many queries as allowed, and a client that is gone",
        async () => {
          {
            await using peer = await RawPeer.connect(first.address);
            for (let i = 0; i < COVERAGE_QUERIES_MAX_DEFAULT; i++) {
              await pageOf(peer, begin());
            }
            const error = await refusedWith("overload", first.kv.keys("good"));
            assert(error.message.includes("100"), error.message);
            // Other nodes are not concerned, and neither are puts and gets.
            assertEquals(
              await Array.fromAsync(cluster.node(1).kv.keys("good")),
              [
                "key",
              ],
            );
            await first.kv.put("another", "key", 1);
          }
          await untilTaken(cluster);
        },
      );

      await t.step("a peer that sends requests to vnodes itself", async () => {
        const cases: [string, Uint8Array, ErrorCode][] = [
          ["nothing", streamRequest(0, SILENCE, () => {}), "protocol_error"],
          [
            "an unknown action",
            streamRequest(0, SILENCE, (into) => {
              into.u8(9);
              into.u53(1);
            }),
            "protocol_error",
          ],
          [
            "key spaces cut short",
            streamRequest(0, SILENCE, (into) => {
              writeCoverageOpen(into, 1, 1_000, [1, 2, 3]);
              into.length -= 1;
            }),
            "protocol_error",
          ],
          [
            "more key spaces than any ring has",
            streamRequest(
              0,
              SILENCE,
              (into) => writeCoverageOpen(into, 1, 1_000, Array(5_000).fill(1)),
            ),
            "protocol_error",
          ],
          [
            "49 days",
            streamRequest(0, SILENCE, (into) => {
              writeCoverageOpen(into, 1, 0xffff_ffff, null);
              into.raw(encodeMsgpack(null));
            }),
            "protocol_error",
          ],
          [
            "more of nothing",
            streamRequest(
              0,
              SILENCE,
              (into) => writeCoverageAction(into, 2, 99),
            ),
            "vnode_crashed",
          ],
          [
            "an unknown query",
            streamRequest(
              0,
              200,
              (into) => writeCoverageOpen(into, 1, 1, null),
            ),
            "unknown_command",
          ],
        ];
        await using peer = await RawPeer.connect(first.address, "peer");
        for (const [what, bytes, code] of cases) {
          await peer.send(vnodeRequest, 8, bytes);
          const { type, payload } = await nextAnswer(peer);
          assertEquals(type, vnodeError, what);
          const text = new TextDecoder().decode(payload);
          assert(text.includes(code), `${what}: ${text}`);
        }
        await assertServes(cluster);
      });

      await t.step(
        "a peer that opens all streams of a vnode and disconnects",
        async () => {
          for (let round = 0; round < 3; round++) {
            await using peer = await RawPeer.connect(first.address, "peer");
            for (let stream = 1; stream <= COVERAGE_STREAMS_MAX; stream++) {
              await peer.send(vnodeRequest, stream, openSilent(0, stream));
            }
            // It is silent, unless there are too many of it.
            await peer.send(vnodeRequest, 1_000, openSilent(0, 1_000));
            const { type, correlation, payload } = await nextAnswer(peer);
            assertEquals([type, correlation], [vnodeError, 1_000], `${round}`);
            assert(new TextDecoder().decode(payload).includes("overload"));
          }
          await assertServes(cluster);
        },
      );

      await t.step("chunks as large as allowed, and larger", async () => {
        await using client = await cluster.client();
        // MessagePack adds five bytes.
        const largest = COVERAGE_CHUNK_BYTES_MAX - 5;
        let taken = 0;
        for await (
          const { value } of client.module(muteModule).coverage(
            "endless",
            largest,
          )
        ) {
          assertEquals(value.length, largest);
          if (++taken === 8) break;
        }
        for (const size of [largest + 1, 10 * 1024 * 1024]) {
          const query = client.module(muteModule).coverage("endless", size);
          // Others were asked, and theirs are no smaller.
          const error = await refusedWith("insufficient_vnodes", query);
          assert(
            error.message.includes(`${COVERAGE_CHUNK_BYTES_MAX}`),
            error.message,
          );
        }
        await assertServes(cluster);
      });

      await t.step(
        "a client that consumes nothing of 100 endless queries",
        async () => {
          {
            await using peer = await RawPeer.connect(first.address);
            const body = encodeMsgpack(60_000);
            const queries: number[] = [];
            for (let i = 0; i < COVERAGE_QUERIES_MAX_DEFAULT; i++) {
              queries.push(
                (await pageOf(peer, begin({ command: ENDLESS, body }))).query,
              );
            }
            for (const query of queries) {
              await peer.send(
                operation,
                5,
                followUp(OperationKind.coverageMore, query),
              );
            }
            // Two windows and a page for each share of each, and no more.
            const { values } = await first.control.stats();
            const rssBytes = values["memory.rssBytes"] as number;
            assert(rssBytes < RSS_BYTES_MAX, `${rssBytes} bytes`);
          }
          await untilTaken(cluster);
        },
      );
    });
  });
}
