/**
 * A coordinator whose decisions are in a state machine: each event advances the
 * machine, and what it says is carried out in order.
 *
 * @module
 */
import { RequestProcess } from "./request_process.ts";

/** The shell of a machine whose events and effects are of these types. */
export abstract class MachineProcess<Event, Effect> extends RequestProcess {
  /** Advances the machine by `event`; it adds what is to be done to `effects`. */
  protected abstract step(event: Event, effects: Effect[]): void;

  /** Carries out one effect. */
  protected abstract perform(effect: Effect): void;

  advance(event: Event): void {
    // One list for all requests of the host, as one is advanced at a time.
    const effects = this.host.effects as Effect[];
    this.step(event, effects);
    for (let i = 0; i < effects.length; i++) {
      this.perform(effects[i] as Effect);
    }
    effects.length = 0;
  }
}
