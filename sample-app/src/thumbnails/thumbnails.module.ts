import { Module } from '@nestjs/common';
import { ThumbnailService } from './thumbnail.service.js';
import { ThumbnailsController } from './thumbnails.controller.js';

@Module({ controllers: [ThumbnailsController], providers: [ThumbnailService] })
export class ThumbnailsModule {}
