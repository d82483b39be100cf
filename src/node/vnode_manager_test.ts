import { assert, assertEquals } from "@std/assert";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { invariant } from "../base/invariant.ts";
import type { Environment } from "../environment/environment.ts";
import { silentLog } from "../environment/log.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { command, defineVnode } from "../vnode/define_vnode.ts";
import {
  HandoffMode,
  HandoffOutcome,
  writeHandoffFinish,
  writeHandoffNext,
  writeHandoffOpen,
  writeHandoffSwitch,
} from "../vnode/handoff_codec.ts";
import {
  answersLater,
  type CommandCodec,
  type VnodeModule,
} from "../vnode/vnode.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import {
  moduleIdOf,
  RequestFlag,
  writeVnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack, writeMsgpack } from "../wire/msgpack.ts";
import { systemEnvironment } from "./system_environment.ts";
import { VnodeManager, type VnodeManagerEvent } from "./vnode_manager.ts";

/** Turns a "wild" answer into a frame of a type that no vnode master sends. */
const wildCodec: CommandCodec<string> = {
  encode(value, into): void {
    if (value === "wild") into.setU8(into.length - 10, 99);
    writeMsgpack(value, into);
  },
  decode: (from) => decodeMsgpack(from.rest()) as string,
};

const wildModule = defineVnode({
  name: "wild",
  commands: { run: command<string, string>({ reply: wildCodec }) },
  init: () => ({
    handleCommand: {
      run: (request) => request === "silent" ? answersLater : request,
    },
    fold: () => [],
    encodeHandoffItem: () => null,
    handleHandoffData: () => {},
    isEmpty: () => true,
    delete: () => {},
  }),
}) as unknown as VnodeModule;

/** What a vnode has answered. */
interface Answer {
  readonly type: number;
  readonly body: Uint8Array;
}

/** A manager of one master, a task, and a caller of its vnodes. */
class Bench implements AnswerTarget {
  readonly events: VnodeManagerEvent[] = [];
  /** Error lines of the log. */
  readonly errors: string[] = [];
  readonly manager: VnodeManager;
  readonly environment: Environment = {
    ...systemEnvironment({
      ...silentLog,
      error: (message) => void this.errors.push(message),
    }),
    // At once, so that every step of a start is a microtask.
    openStore: () => Promise.resolve(openMemoryStore("0123456789abcdef")),
  };
  #answers = new Map<number, PromiseWithResolvers<Answer>>();

  constructor() {
    this.manager = new VnodeManager({
      node: "a@host",
      ringSizes: new Map([[0, 8]]),
      masters: 1,
      placement: "task",
      modules: [{
        name: "wild",
        url: "unused:",
        module: wildModule,
        subprocessFlags: [],
      }],
      home: {
        storeOf: () => ({ type: "memory" }),
        storeOpened: () => Promise.resolve(),
        setStoreAside: () => Promise.resolve(""),
      },
      mayRebuild: () => false,
      subprocessFlags: [],
      environment: this.environment,
      onEvent: (event) => this.events.push(event),
    });
  }

  /** The reply, or the code of the failure. */
  async ask(request: string): Promise<string> {
    const { type, body } = await this.#ask(
      0,
      (into) => into.raw(encodeMsgpack(request)),
    );
    return type === FrameType.vnodeError
      ? readFailure(body).code
      : decodeMsgpack(body) as string;
  }

  /** Has the vnode do something as the source of a transfer. */
  async handoff(write: (into: ByteWriter) => void): Promise<void> {
    const { type } = await this.#ask(RequestFlag.handoff, write);
    assertEquals(type, FrameType.vnodeReply);
  }

  #ask(flags: number, write: (into: ByteWriter) => void): Promise<Answer> {
    const correlation = this.#answers.size + 1;
    const answer = Promise.withResolvers<Answer>();
    this.#answers.set(correlation, answer);
    const id = moduleIdOf("wild");
    const into = this.manager.beginRequest(id, 3, this, correlation, 10_000);
    invariant(into instanceof ByteWriter, "the manager takes it");
    writeVnodeRequestHeader(into, id, 3, 0, flags, 10_000);
    write(into);
    this.manager.endRequest();
    return answer.promise;
  }

  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const body = bytes.slice(start, end);
    this.#answers.get(correlation)?.resolve({ type, body });
  }
}

Deno.test("VnodeManager replaces a master that sends an invalid message, and answers the requests it had", async () => {
  const bench = new Bench();
  const supervisor = await startSupervisor({
    name: "masters",
    strategy: "one_for_one",
    intensity: 3,
    periodMs: 10_000,
    children: bench.manager.childSpecs(),
    runtime: bench.environment,
  });
  try {
    assertEquals(await bench.ask("fine"), "fine");
    const silent = bench.ask("silent");
    assertEquals(await bench.ask("wild"), "vnode_crashed");
    assertEquals(await silent, "vnode_crashed");
    assertEquals(await bench.ask("fine again"), "fine again");
    assertEquals(bench.errors, ["A vnode master sent what is no message"]);
    const started = {
      type: "vnode_started",
      module: "wild",
      partition: 3,
      vnode: 3,
    };
    assertEquals(bench.events, [
      { type: "master_started", master: "wild-0" },
      started,
      { type: "master_stopped", master: "wild-0", reason: "killed" },
      { type: "master_started", master: "wild-0" },
      started,
    ]);
  } finally {
    await supervisor.shutdown();
    bench.manager.close();
  }
});

Deno.test("VnodeManager attaches no master that ended while its start was being reported", async () => {
  let ended = 0;
  // Whichever step of the start the end falls into, until it comes after it.
  for (let steps = 0, over = false; !over; steps++) {
    let told = false;
    const bench = new Bench();
    const [spec] = bench.manager.childSpecs();
    invariant(spec !== undefined, "it has one master");
    const stopping = new AbortController();
    const starting = Promise.try(spec.start, stopping.signal).then(
      (child) => {
        told = true;
        return child;
      },
      () => undefined,
    );
    for (let i = 0; i < steps; i++) await null;
    over = told;
    stopping.abort();
    const child = await starting;
    if (!over && child?.exitReason !== undefined) ended++;
    // Attached masters are asked, and one that is gone would never answer.
    assertEquals(await bench.manager.stats(), {});
    bench.manager.close();
    assertEquals(
      bench.events.filter(({ type }) => type === "master_stopped").length,
      child === undefined ? 0 : 1,
    );
  }
  assert(ended > 0, "some ended before their start was told of");
});

Deno.test("VnodeManager.heldByAll() tells nothing while a master that may hold more does not run", async () => {
  const bench = new Bench();
  const [spec] = bench.manager.childSpecs();
  invariant(spec !== undefined, "it has one master");
  assertEquals(await bench.manager.heldByAll(), undefined);
  const child = await spec.start(new AbortController().signal);
  await bench.ask("fine");
  assertEquals(await bench.manager.heldByAll(), [{
    module: "wild",
    partition: 3,
  }]);
  const ended = Promise.withResolvers<unknown>();
  child.onExit(ended.resolve);
  child.kill();
  await ended.promise;
  assertEquals(await bench.manager.heldByAll(), undefined);
  bench.manager.close();
});

Deno.test("VnodeManager.handedOver() tells what went to other nodes and is still here, as its masters know it", async () => {
  const bench = new Bench();
  const [spec] = bench.manager.childSpecs();
  invariant(spec !== undefined, "it has one master");
  assertEquals(await bench.manager.handedOver(), []);
  const child = await spec.start(new AbortController().signal);
  await bench.ask("fine");
  const target = { node: "b@host", partition: 3 };
  const mode = HandoffMode.move;
  await bench.handoff((into) =>
    writeHandoffOpen(into, { transfer: 1, mode, target, keySpaces: null })
  );
  await bench.handoff((into) => writeHandoffNext(into, 1, 0, false));
  await bench.handoff((into) => writeHandoffSwitch(into, 1));
  await bench.handoff((into) => writeHandoffNext(into, 1, 0, false));
  await bench.handoff((into) =>
    writeHandoffFinish(into, 1, HandoffOutcome.released, "b@host", {
      term: 2,
      version: 7,
    })
  );
  assertEquals(await bench.manager.handedOver(), [
    { module: "wild", partition: 3, target: "b@host", term: 2, version: 7 },
  ]);
  await bench.manager.takeBack("wild", 3);
  assertEquals(await bench.manager.handedOver(), []);
  child.kill();
  bench.manager.close();
});
