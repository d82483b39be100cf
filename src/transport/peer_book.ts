/**
 * What a node knows about its peers, by name: the address of each, the link to
 * it or the attempts to open one, and so whether another link is wanted.
 *
 * @module
 */
import type { Address } from "../environment/transport.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import {
  type Admission,
  decideAdmission,
  type KnownIdentity,
} from "./admission.ts";
import { Dials } from "./dials.ts";
import type { Candidate } from "./handshake_fsm.ts";
import type { LinkIdentity, LinkPeer } from "./link_peer.ts";
import { PeerRecord } from "./peer_record.ts";

/** What a book is made of. */
export interface PeerBookOptions {
  readonly runtime: Runtime;
  /** This node. */
  readonly identity: LinkIdentity;
  /** What the node has on record about a name. */
  readonly knownIdentity: (name: string) => KnownIdentity | undefined;
  /** Where to connect instead of a peer's own address, by name. */
  readonly addressOverrides?: ReadonlyMap<string, Address> | undefined;
}

/** The peers of one node; see the module comment. */
export class PeerBook {
  /** This node's attempts to open links. */
  readonly dials: Dials = new Dials();
  readonly #options: PeerBookOptions;
  readonly #records: Map<string, PeerRecord> = new Map();

  constructor(options: PeerBookOptions) {
    this.#options = options;
  }

  /** All records ever made. */
  records(): Iterable<PeerRecord> {
    return this.#records.values();
  }

  /** The record of a name, created if missing. */
  record(name: string): PeerRecord {
    let record = this.#records.get(name);
    if (record === undefined) {
      record = new PeerRecord(name, this.#options.runtime);
      this.#records.set(name, record);
    }
    return record;
  }

  /** The record of a name, if there is one. */
  find(name: string): PeerRecord | undefined {
    return this.#records.get(name);
  }

  /** The address to connect to, while the peer is wanted. */
  addressOf(name: string): Address | undefined {
    const address = this.#records.get(name)?.address;
    return address === undefined
      ? undefined
      : this.#options.addressOverrides?.get(name) ?? address;
  }

  /** Whether a link with `candidate` is wanted, given the links that are up or being opened. */
  decide(candidate: Candidate): Admission {
    return decideAdmission(candidate, {
      ...this.#view(candidate.name),
      dialing: this.dials.awaiting(candidate.name)?.awaiting,
    });
  }

  /** The same for a link that this node opened and that is up now. */
  decideOpened(peer: LinkPeer): Admission {
    return decideAdmission(
      { ...peer, lastLinkId: "" },
      { ...this.#view(peer.name), dialing: undefined },
    );
  }

  #view(name: string) {
    const record = this.#records.get(name);
    return {
      self: this.#options.identity,
      known: this.#options.knownIdentity(name),
      up: record?.arriving ?? record?.link?.peer,
    };
  }
}
