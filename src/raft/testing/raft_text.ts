/**
 * Events and effects of a Raft member as lines, for traces, transcripts and tests.
 *
 * @module
 */
import type { Membership, RaftEntry } from "../raft_entry.ts";
import type { RaftEffect, RaftEvent } from "../raft_fsm.ts";
import type { RaftMessage } from "../raft_message.ts";

/** An event as a line. */
export function eventText(event: RaftEvent): string {
  if (event.type === "message") {
    return `from ${event.from}/${event.uid}: ${messageText(event.message)}`;
  }
  if (event.type === "propose") return `propose ${event.proposals.length}`;
  const { type, ...rest } = event;
  return `${type}${fieldsText(rest)}`;
}

/** An effect as a line. */
export function effectText(effect: RaftEffect): string {
  switch (effect.type) {
    case "send":
      return `to ${effect.to}: ${messageText(effect.message)}`;
    case "send_entries": {
      const { to, term, prevTerm, first, last, commitIndex } = effect;
      const entries = last < first ? "nothing" : `${first}..${last}`;
      return `to ${to}: ${entries} behind ${
        first - 1
      }/${prevTerm} term=${term} commit=${commitIndex}`;
    }
    case "role_changed": {
      const { role, term, leader } = effect;
      return leader === undefined || role === "leader"
        ? `${role} in ${term}`
        : `${role} of ${leader} in ${term}`;
    }
    case "append":
      return `append ${entriesText(effect.entries)}`;
    case "commit":
      return `commit ${effect.index}`;
    case "membership_changed":
      return `members ${membersText(effect.membership)}`;
    case "proposals_refused":
      return `refuse ${effect.proposals.length} proposals: ${effect.reason}`;
    default: {
      const { type, ...rest } = effect;
      return `${type}${fieldsText(rest)}`;
    }
  }
}

function messageText(message: RaftMessage): string {
  if (message.type === "append") {
    const { term, prevIndex, prevTerm, entries, commitIndex } = message;
    return `append ${
      entriesText(entries)
    } behind ${prevIndex}/${prevTerm} term=${term} commit=${commitIndex}`;
  }
  const { type, ...rest } = message;
  return `${type}${fieldsText(rest)}`;
}

/** The members, with what is not usual about them. */
export function membersText({ members }: Membership): string {
  return members.map(({ node, uid, kind }) =>
    `${node}/${uid}${kind === "voter" ? "" : ` (${kind})`}`
  ).join(" ");
}

function entriesText(entries: readonly RaftEntry[]): string {
  if (entries.length === 0) return "nothing";
  const { index, term } = entries[0] as RaftEntry;
  const last = entries.at(-1) as RaftEntry;
  return entries.length < 4
    ? entries.map((entry) => `${entry.index}/${entry.term}`).join(" ")
    : `${index}/${term}..${last.index}/${last.term}`;
}

function fieldsText(fields: object): string {
  let text = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (typeof value !== "object") text += ` ${name}=${value}`;
    else if (name === "membership") text += ` [${membersText(value)}]`;
    else if (name === "snapshot") text += ` ${value.index}/${value.term}`;
    else text += ` ${name}(${fieldsText(value).trim()})`;
  }
  return text;
}
