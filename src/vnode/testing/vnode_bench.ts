/**
 * A vnode at the bench: one handler, on a clock that is moved by hand, and every
 * answer it gives.
 *
 * @module
 */
import { BackgroundPace } from "../background_pace.ts";
import type { ExitReason } from "../../../supervisors/exit_reason.ts";
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import { BatchingSink } from "../../wire/batching_sink.ts";
import { readFailure } from "../../wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames } from "../../wire/frame.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../../wire/msgpack.ts";
import { bytesCodec, command, defineVnode } from "../define_vnode.ts";
import {
  MAILBOX_BOUNDS_DEFAULT,
  type MailboxBounds,
} from "../mailbox_bounds.ts";
import type {
  CommandCodec,
  Vnode,
  VnodeCall,
  VnodeContext,
  VnodeModule,
} from "../vnode.ts";
import { commandTableOf } from "../command_table.ts";
import { VnodeProcess } from "../vnode_process.ts";
import { VnodeTurns } from "../vnode_turns.ts";

/** Fails when it has already written something. */
const halfCodec: CommandCodec<string> = {
  encode(value, into): void {
    into.text(value);
    throw new RangeError("the rest does not fit");
  },
  decode: (from) => from.text(),
};
/** What its vnode can be asked. */
const vnodeCommands = {
  run: command<string, unknown, "refused">({ failures: ["refused"] }),
  raw: command<number, Uint8Array>({ reply: bytesCodec }),
  half: command<string, string>({ reply: halfCodec }),
};
/** How many commands may wait. */
export const REQUESTS_MAX = MAILBOX_BOUNDS_DEFAULT.requestsMax;
const RUN = 0;
/** The command that is answered with so many bytes. */
export const RAW = 1;
/** The command whose answer cannot be encoded. */
export const HALF = 2;
type TestCommands = typeof vnodeCommands;
/** A call of the command `run`. */
export type RunCall = VnodeCall<TestCommands["run"]>;

/** A vnode of one handler, and every answer it gives. */
export class VnodeBench {
  readonly runtime = new ManualRuntime();
  /** Answers in order: correlation, then `reply`, `accepted` or a failure's code, then the value or the message. */
  readonly answers: [number, string, unknown][] = [];
  /** The details of each failure. */
  readonly details: unknown[] = [];
  /** What the handler was given, in order. */
  readonly handled: string[] = [];
  handler: (request: string, call: RunCall) => unknown = (request) => request;
  readonly extra: Partial<Vnode<TestCommands>> = {};
  init: (() => unknown) | undefined;
  readonly exits: ExitReason[] = [];
  readonly process: VnodeProcess;
  /** How often the process has said that it has requests in hand. */
  inHand = 0;
  /** What it has said of its load. */
  readonly overloads: boolean[] = [];
  #next = 1;

  constructor(mailbox: Partial<MailboxBounds> = {}) {
    const module = defineVnode({
      name: "test",
      commands: vnodeCommands,
      mailbox,
      init: async () => {
        await this.init?.();
        return {
          handleCommand: {
            run: (request, call) => {
              this.handled.push(request);
              return this.handler(request, call) as string;
            },
            raw: (size) => new Uint8Array(size),
            half: (request) => request,
          },
          fold: () => [],
          encodeHandoffItem: () => null,
          handleHandoffData: () => {},
          isEmpty: () => true,
          delete: () => {},
          ...this.extra,
        };
      },
    }) as unknown as VnodeModule;
    const sink = new BatchingSink((flush) => flush(), (batch) => {
      readFrames(batch, 0, batch.length, FRAME_BYTES_MAX, this.#onFrame);
    });
    this.process = new VnodeProcess(
      {
        answers: sink,
        now: () => this.runtime.now(),
        receivedMs: () => this.runtime.now(),
        pace: new BackgroundPace(2, 20),
        coveragePace: new BackgroundPace(4, 20),
        turns: new VnodeTurns(this.runtime),
        later: (afterMs, callback) =>
          void this.runtime.setTimer(afterMs, callback),
        requestsInHand: () => this.inHand++,
        overloaded: (_process, is) => this.overloads.push(is),
        released: () => {},
        dataReturned: () => {},
        removed: () => {},
      },
      module,
      commandTableOf(module),
      5,
    );
    this.process.onExit((reason) => this.exits.push(reason));
  }

  readonly #onFrame = (
    type: number,
    _flags: number,
    correlation: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void => {
    const body = bytes.slice(start, end);
    if (type === FrameType.vnodeError) {
      const { code, message, details } = readFailure(body);
      this.details.push(details);
      this.answers.push([correlation, code, message]);
      return;
    }
    this.answers.push([
      correlation,
      type === FrameType.vnodeAccepted ? "accepted" : "reply",
      body.length === 0 ? undefined : decodeMsgpack(body),
    ]);
  };

  start(): Promise<void> {
    return this.process.start({} as VnodeContext);
  }

  /** Sends a command; correlations count from 1. */
  send(
    request: unknown,
    {
      command = RUN,
      flags = 0,
      timeLeftMs = 1_000,
      body = encodeMsgpack(request) as Uint8Array,
    } = {},
  ): void {
    // As in a message: other bytes stand before and after the body.
    const into = new ByteWriter();
    into.u32(0xffff_ffff);
    into.raw(body);
    const end = into.length;
    into.u32(0xffff_ffff);
    this.process.request(
      this.#next++,
      command,
      flags,
      this.runtime.now() + timeLeftMs,
      into.copy(),
      4,
      end,
    );
  }

  /** The codes of the answers, by correlation. */
  get outcome(): [number, string][] {
    return this.answers.map(([correlation, code]) => [correlation, code]);
  }
}
