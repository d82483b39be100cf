/**
 * The real world: the clocks and timers of this process, TCP, Deno KV, and
 * LogTape. The only place that brings the real implementations together.
 *
 * @module
 */
import { systemRuntime } from "../../supervisors/runtime.ts";
import { seededChance } from "../base/chance.ts";
import type { Environment } from "../environment/environment.ts";
import type { Log } from "../environment/log.ts";
import { openStore } from "../storage/open_store.ts";
import { systemDisk } from "../storage/system_disk.ts";
import { tcpTransport } from "../transport/tcp_transport.ts";
import { logtapeLog } from "./logtape_log.ts";

/** The environment of a real process. @param log Where lines go. @default {LogTape, category "whorl"} */
export function systemEnvironment(log: Log = logtapeLog()): Environment {
  const secretBytes = (count: number): Uint8Array<ArrayBuffer> =>
    crypto.getRandomValues(new Uint8Array(count));
  return {
    ...systemRuntime,
    wallClock: () => Date.now(),
    chance: seededChance(secretBytes(16).toHex()),
    secretBytes,
    transport: tcpTransport({ runtime: systemRuntime, log }),
    disk: systemDisk,
    openStore: (config) =>
      openStore(config, { ...systemRuntime, disk: systemDisk, secretBytes }),
    log,
    processFigures: () => {
      const { rss, heapUsed, external } = Deno.memoryUsage();
      return {
        processId: Deno.pid,
        rssBytes: rss,
        heapUsedBytes: heapUsed,
        externalBytes: external,
      };
    },
  };
}
