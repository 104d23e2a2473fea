/**
 * Who listens to which fact. A fact has a few listeners among twenty checkers, and asking each of
 * them for a hook, at each entry that is applied, costs a simulation more than many a law does.
 */
import type { Checker } from './checkers/checker.js'
import type { Life } from './life.js'
import type { NodeHooks } from './simulated-node.js'

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

/** What a life tells of itself that the cluster has no use for: as it is, to whoever listens. */
export function toldAsIs(
  life: Life,
  cluster: { readonly listeners: Listeners },
): Pick<NodeHooks, 'onReject' | 'onInstall' | 'onSend' | 'onReport' | 'onWoken'> {
  return {
    onReject: (id, code) => {
      for (const checker of cluster.listeners.onReject) checker.onReject(life, id, code)
    },
    onInstall: (at, slice, first, group) => {
      for (const checker of cluster.listeners.onInstall)
        checker.onInstall(life, group, at, slice, first)
    },
    onSend: message => {
      for (const checker of cluster.listeners.onSend) checker.onSend(life, message)
    },
    onReport: (event, fields) => {
      for (const checker of cluster.listeners.onReport) checker.onReport(life, event, fields)
    },
    onWoken: (stoppedMs, led) => {
      for (const checker of cluster.listeners.onWoken) checker.onWoken(life, stoppedMs, led)
    },
  }
}
