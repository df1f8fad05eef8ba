import type { ConfigurableModuleAsyncOptions, DynamicModule, Provider } from '@nestjs/common';
import { checkedAt, requireFunction } from './option-rules.js';
import { InvalidOptionsError } from './semaphore.errors.js';

type Source = ConfigurableModuleAsyncOptions<unknown, string>;

/** What makes options for `useClass` and `useExisting`, and the module that asks it. */
export interface OptionsFactory {
  /** Says in messages which call it is. */
  where: string;
  /** What the options are provided as. */
  token: string | symbol;
  /** The method that makes them. */
  method: string;
}

/** @throws {InvalidOptionsError} it does not say where the options come from */
export function requireSource(where: string, source: Source): void {
  const { useFactory, useClass, useExisting } = source ?? {};
  if (useFactory ?? useClass ?? useExisting) return;
  const rule = 'an object with useFactory | useClass | useExisting';
  throw new InvalidOptionsError('options', source, rule, undefined, where);
}

/** The module that Nest's builder made, which asks a class for options only when it makes some. */
export function withCheckedFactory(
  { useFactory }: Source,
  definition: DynamicModule,
  { where, token, method }: OptionsFactory,
): DynamicModule {
  if (useFactory) return definition;
  const check = (provider: Provider): Provider => {
    if (!('useFactory' in provider) || provider.provide !== token) return provider;
    const make = (factory: Record<string, unknown>): unknown => {
      const name = factory.constructor.name;
      checkedAt(`${where}, ${name}`, () => requireFunction(method, factory[method]));
      return provider.useFactory(factory);
    };
    return { ...provider, useFactory: make };
  };
  return { ...definition, providers: definition.providers?.map(check) ?? [] };
}
