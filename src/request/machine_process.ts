/**
 * A coordinator whose decisions are made by a state machine: each event
 * advances the machine, and its effects are performed in order.
 *
 * @module
 */
import { RequestProcess } from "./request_process.ts";

/** The shell of a state machine with these types of events and effects. */
export abstract class MachineProcess<Event, Effect> extends RequestProcess {
  /** Advances the machine by `event`; appends its effects to `effects`. */
  protected abstract step(event: Event, effects: Effect[]): void;

  /** Performs one effect. */
  protected abstract perform(effect: Effect): void;

  advance(event: Event): void {
    // One list for all requests of the host, because only one is advanced at a
    // time.
    const effects = this.host.effects as Effect[];
    this.step(event, effects);
    for (let i = 0; i < effects.length; i++) {
      this.perform(effects[i] as Effect);
    }
    effects.length = 0;
  }
}
