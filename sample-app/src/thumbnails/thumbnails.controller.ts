import { Controller, DefaultValuePipe, Get, Param, ParseIntPipe, Query } from '@nestjs/common';
import { type Thumbnail, ThumbnailService } from './thumbnail.service.js';

@Controller('images/:image/thumbnail')
export class ThumbnailsController {
  constructor(private readonly thumbnails: ThumbnailService) {}

  @Get()
  get(
    @Param('image') image: string,
    @Query('width', new DefaultValuePipe(200), ParseIntPipe) width: number,
  ): Promise<Thumbnail> {
    return this.thumbnails.get({ image, width });
  }
}
