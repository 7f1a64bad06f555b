"""What a frozen denoiser knows: heads that read its decoder, trained on few labels.

| file       | what                                                                            |
|------------|---------------------------------------------------------------------------------|
| `tap`      | which levels of a decoder are read, as fractions of its depth                   |
| `head`     | `PixelHead`: numbers or classes of every pixel from those levels, told the time |
| `learning` | heads learn, the denoiser does not; what a head says of clean data              |
| `saved`    | trained heads as JSON and arrays                                                |
| `check`    | samples, answers and heads that do not go together are refused                  |
| `frozen`   | networks that are asked and do not change                                       |
"""
