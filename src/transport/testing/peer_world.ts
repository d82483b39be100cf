/**
 * The links of several nodes, on one network in memory and one clock that is moved
 * by hand.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { type ErrorCode, WhorlError } from "../../base/errors.ts";
import { silentLog } from "../../environment/log.ts";
import type { Address, ByteStream } from "../../environment/transport.ts";
import type { KnownIdentity } from "../admission.ts";
import { type ClientLinkOptions, openClientLink } from "../client_link.ts";
import { Cookie } from "../cookie.ts";
import type { Link } from "../link.ts";
import type { LinkIdentity } from "../link_peer.ts";
import { MemoryNetwork } from "../memory_transport.ts";
import {
  PeerLinks,
  type PeerLinksEvents,
  type PeerLinksOptions,
} from "../peer_links.ts";

/** Random bytes. */
export const secretBytes = (count: number): Uint8Array =>
  crypto.getRandomValues(new Uint8Array(count));

/** Nodes on one network and one clock that stands still. */
export class PeerWorld implements AsyncDisposable {
  readonly runtime: ManualRuntime = new ManualRuntime();
  readonly network: MemoryNetwork = new MemoryNetwork(this.runtime);
  readonly nodes: PeerWorldNode[] = [];

  node(
    name: string,
    options: Partial<PeerWorldNodeOptions> = {},
  ): PeerWorldNode {
    const node = new PeerWorldNode(this, name, options);
    this.nodes.push(node);
    return node;
  }

  /** Nodes that listen and want each other. */
  async cluster(...names: string[]): Promise<PeerWorldNode[]> {
    const nodes = names.map((name) => this.node(name));
    for (const node of nodes) await node.listen();
    const peers = new Map(names.map((name) => [name, `${name}:1`]));
    for (const node of nodes) node.links.setPeers(peers);
    await this.runtime.settle();
    return nodes;
  }

  client(
    address: Address,
    options: Partial<ClientLinkOptions> = {},
  ): Promise<Link> {
    return openClientLink({
      runtime: this.runtime,
      log: silentLog,
      transport: this.network.transport("client"),
      secretBytes,
      address,
      cookie: new Cookie("secret"),
      handler: { onFrame() {}, onClosed() {} },
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.nodes.map((node) => node.links.close());
    await this.runtime.advance(1_000);
    await Promise.all(closing);
    assertEquals(this.network.openStreams, 0, "no stream is left");
    assertEquals(this.runtime.pendingTimers, 0, "no timer is left");
  }
}

interface PeerWorldNodeOptions extends PeerLinksOptions {
  readonly host: string;
  readonly nodeId: string;
  readonly incarnation: number;
}

/** A node of a {@linkcode PeerWorld}, with what it is told. */
export class PeerWorldNode {
  readonly history: string[] = [];
  readonly frames: string[] = [];
  readonly clients: Link[] = [];
  readonly known: Map<string, KnownIdentity> = new Map();
  readonly links: PeerLinks;
  readonly host: string;

  constructor(
    world: PeerWorld,
    readonly name: string,
    { host = name, nodeId = `id-${name}`, incarnation = 1, ...options }:
      Partial<PeerWorldNodeOptions>,
  ) {
    this.host = host;
    const identity: LinkIdentity = {
      name,
      nodeId,
      incarnation,
      cluster: "test",
    };
    const note = (line: string) => void this.history.push(line);
    const events: PeerLinksEvents = {
      onUp: ({ peer }) => note(`up ${peer.name} ${peer.incarnation}`),
      onDown: (name, closed) => note(`down ${name} ${closed.code}`),
      onSuspect: (name) => note(`suspect ${name}`),
      onAlive: (name) => note(`alive ${name}`),
      onFrame: ({ peer }, type, flags, correlation, bytes, start, end) => {
        const text = new TextDecoder().decode(bytes.subarray(start, end));
        this.frames.push(
          `${peer.kind} ${peer.name} ${type} ${flags} ${correlation} ${text}`,
        );
      },
      onClientUp: (link) => {
        this.clients.push(link);
        note("client up");
      },
      onClientDown: (_link, closed) => note(`client down ${closed.code}`),
      onBulkUp: ({ peer }) => note(`bulk up ${peer.name}`),
      onBulkDown: ({ peer }, closed) =>
        note(`bulk down ${peer.name} ${closed.code}`),
    };
    this.links = new PeerLinks({
      runtime: world.runtime,
      log: silentLog,
      transport: world.network.transport(host),
      secretBytes,
      cookie: new Cookie("secret"),
      identity,
      events,
      knownIdentity: (name) => this.known.get(name),
      ...options,
    });
  }

  listen(): Promise<Address> {
    return this.links.listen(`${this.host}:1`);
  }

  /** What has happened since this was asked last. */
  news(): string[] {
    return this.history.splice(0);
  }
}

/** Passes bytes on until the source ends; then hangs up on both, if it is to tell. */
export async function pump(
  from: ByteStream,
  to: ByteStream,
  tell: boolean,
): Promise<void> {
  const buffer = new Uint8Array(1024);
  try {
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) break;
      await to.write(buffer.slice(0, count));
    }
  } catch (error) {
    assert(error instanceof WhorlError);
  }
  if (tell) {
    from.close();
    to.close();
  }
}

/** Asserts that `attempt` fails with `code`; the failure. */
export async function failsWith(
  code: ErrorCode,
  attempt: () => Promise<unknown>,
): Promise<WhorlError> {
  const error = await assertRejects(attempt, WhorlError);
  assertEquals(error.code, code, error.message);
  return error;
}
