import { Inject } from '@nestjs/common';

/** The injection token of a semaphore that `SemaphoreModule.forFeature()` named. */
export function getSemaphoreToken(name: string): string {
  return `SemaphoreModule.forFeature:${name}`;
}

/** Injects the NamedSemaphore that `SemaphoreModule.forFeature([{ name }])` provides. */
export function InjectSemaphore(name: string): ParameterDecorator & PropertyDecorator {
  return Inject(getSemaphoreToken(name));
}
