/**
 * Who listens to which fact. A fact has a few listeners among twenty checkers, and asking each of
 * them for a hook, at each entry that is applied, costs a simulation more than many a law does.
 */
import type { Checker } from './checkers/checker.js'

type Hook = Exclude<keyof Checker, 'name'>

/** The checkers that have the hook, in the order in which they were added. */
export type Listeners = {
  readonly [H in Hook]: readonly Required<Pick<Checker, H>>[]
}

/** Of a checker's hooks, as they are now. */
export function listenersAmong(checkers: readonly Checker[]): Listeners {
  const having = <H extends Hook>(hook: H) =>
    checkers.filter(
      (checker): checker is Checker & Required<Pick<Checker, H>> => checker[hook] !== undefined,
    )
  return {
    onStart: having('onStart'),
    onEnd: having('onEnd'),
    onWoken: having('onWoken'),
    onAppend: having('onAppend'),
    onDrop: having('onDrop'),
    onOtherAppend: having('onOtherAppend'),
    onInstall: having('onInstall'),
    onSend: having('onSend'),
    onInput: having('onInput'),
    onPromotion: having('onPromotion'),
    onBecome: having('onBecome'),
    onPersist: having('onPersist'),
    onReport: having('onReport'),
    onPropose: having('onPropose'),
    onSettle: having('onSettle'),
    onReject: having('onReject'),
    onResult: having('onResult'),
    onCallStart: having('onCallStart'),
    onCallEnd: having('onCallEnd'),
    onRepeat: having('onRepeat'),
    onTick: having('onTick'),
    onHeal: having('onHeal'),
    onQuiet: having('onQuiet'),
  }
}
