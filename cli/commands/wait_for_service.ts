/**
 * `whorl wait-for-service`: return when a node offers a service.
 *
 * @module
 */
import { formatDuration } from "../../src/admin/figure_text.ts";
import { WhorlError } from "../../src/base/errors.ts";
import { type Command, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { parseDuration } from "../duration.ts";
import { writeJson } from "../json.ts";
import { isMemberName } from "../member_flag.ts";
import { pause } from "../pause.ts";
import { ReconnectingSession } from "../reconnecting_session.ts";
import {
  openWithin,
  sessionRequest,
  TIMEOUT_MS_DEFAULT,
} from "../session_flags.ts";

/** Time between two questions, in milliseconds. */
const LOOK_INTERVAL_MS = 250;
/** How long it waits unless told otherwise, in milliseconds. */
const WAIT_MS_DEFAULT = 60_000;

/** `whorl wait-for-service` */
export const waitForServiceCommand: Command = {
  name: "wait-for-service",
  summary: "return when a node offers a service",
  about:
    "For scripts: asks until NODE offers SERVICE, as the node you talk to sees it, and returns with exit code 0. " +
    "After --timeout it gives up with exit code 1. The node you talk to must be running, or it fails at once; " +
    "if it is restarted meanwhile, that is waited out.\n\n" +
    "Services are the vnode modules of a node, kv and your own; whorl services lists them.",
  positionals: [
    { name: "SERVICE", says: "name of the service, such as kv" },
    {
      name: "NODE",
      says: "who is to offer it, NAME@HOST; the node you talk to if left out",
      optional: true,
    },
  ],
  flags: [{
    name: "timeout",
    value: "TIME",
    says: "how long to wait for the service: 10, 1.5s, 500ms, 2m",
    default: "60s",
  }],
  talksToNode: true,
  examples: [
    { line: "wait-for-service kv --data data/dev1", says: "until dev1 serves" },
    {
      line: "wait-for-service kv dev2@127.0.0.1 --timeout 2m --data data/dev1",
      says: "until dev1 sees dev2 serve",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [service, named] = invocation.words as [string, string | undefined];
    if (named !== undefined && !isMemberName(named)) {
      throw new UsageError(
        `NODE must be a member, NAME@HOST: it is ${JSON.stringify(named)}`,
      );
    }
    const text = invocation.text("timeout");
    const waitMs = text === undefined
      ? WAIT_MS_DEFAULT
      : parseDuration("timeout", text);
    const { target, options } = await sessionRequest(invocation, world);
    const startedAt = performance.now();
    const leftMs = (): number => waitMs - (performance.now() - startedAt);
    const callMs = (): number =>
      Math.max(1, Math.min(TIMEOUT_MS_DEFAULT, Math.ceil(leftMs())));
    const open = () =>
      openWithin(world, target, { ...options, timeoutMs: callMs() });
    await using session = new ReconnectingSession(open, await open());
    const node = named ?? session.node;
    const stopping = new AbortController();
    using _ = world.onStopSignal(() => stopping.abort());
    const { signal } = stopping;
    let failure: unknown;
    while (!signal.aborted) {
      try {
        failure = undefined;
        const byNode = await session.call("services", {}, {
          timeoutMs: callMs(),
          signal,
        });
        if (byNode[node]?.includes(service)) {
          if (invocation.on("json")) {
            writeJson(world.output, { node, service, up: true });
          } else world.output.write(`${service} is up on ${node}\n`);
          return ExitCode.ok;
        }
      } catch (error) {
        // It is restarted, or silent for a while: that is what is waited for.
        failure = error;
      }
      if (leftMs() <= 0) {
        throw new WhorlError(
          "timeout",
          `Cannot find ${service} up on ${node} after ${
            formatDuration(waitMs)
          }`,
          { details: { node, service }, cause: failure },
        );
      }
      await pause(Math.min(LOOK_INTERVAL_MS, Math.max(1, leftMs())), signal);
    }
    return ExitCode.interrupted;
  },
};
