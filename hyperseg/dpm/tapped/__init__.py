"""What a frozen denoiser knows: heads that read its decoder, trained on few labels.

| file       | what                                                                            |
|------------|---------------------------------------------------------------------------------|
| `tap`      | which levels of a decoder are read, as fractions of its depth                   |
| `head`     | `PixelHead`: numbers or classes of every pixel from those levels, told the time |
| `learning` | heads learn, the denoiser does not                                              |
"""
