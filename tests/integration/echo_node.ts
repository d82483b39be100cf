/**
 * A process with a listener and links, and nothing else of a node: it answers
 * every `operation` of a client with its own payload. Prints its address, and
 * ends when its input does.
 *
 *     deno run -A echo_node.ts <name>
 *
 * @module
 */
import { silentLog } from "../../src/environment/log.ts";
import { Cookie } from "../../src/transport/cookie.ts";
import { sendUnknownType } from "../../src/transport/link.ts";
import { PeerLinks } from "../../src/transport/peer_links.ts";
import { tcpTransport } from "../../src/transport/tcp_transport.ts";
import { FrameType } from "../../src/wire/frame_type.ts";
import { systemRuntime as runtime } from "../../supervisors/runtime.ts";

// A node that is stopped by signals takes them first of all. It also makes Deno
// open its signal pipe now: left to itself Deno 2.9.6 does so half a second
// after the start, and panics if no file descriptor is left by then.
const stop = Promise.withResolvers<void>();
Deno.addSignalListener("SIGTERM", stop.resolve);

const name = Deno.args[0] as string;
const links = new PeerLinks({
  runtime,
  log: silentLog,
  transport: tcpTransport({ runtime, log: silentLog }),
  secretBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  cookie: new Cookie("secret"),
  identity: { name, nodeId: `id-${name}`, incarnation: 1, cluster: "test" },
  knownIdentity: () => undefined,
  events: {
    onUp() {},
    onDown() {},
    onSuspect() {},
    onAlive() {},
    onClientUp() {},
    onClientDown() {},
    onBulkUp() {},
    onBulkDown() {},
    onFrame(link, type, _flags, correlation, bytes, start, end) {
      if (type !== FrameType.operation) {
        return sendUnknownType(link, type, correlation);
      }
      link.begin(FrameType.operationReply, correlation)
        .raw(bytes.subarray(start, end));
      link.end();
    },
  },
});
const address = await links.listen("127.0.0.1:0");
await Deno.stdout.write(new TextEncoder().encode(`${address}\n`));
await Promise.race([stop.promise, Deno.stdin.read(new Uint8Array(1))]);
await links.close();
// The read of the input may still wait, and would keep the process.
Deno.exit();
