import { Module } from '@nestjs/common';
import { DigestController } from './digest.controller.js';
import { DigestTask } from './digest.task.js';

@Module({ controllers: [DigestController], providers: [DigestTask] })
export class DigestModule {}
