"""One training step, in two parts: what is drawn and reckoned on the host, and what happens on the device.

| file       | what                                                                              |
|------------|-----------------------------------------------------------------------------------|
| `step`     | all phases that are due and the averages, on the device, waiting for nobody       |
| `drawn`    | what the host sends there: a tree of small tensors                                |
| `readings` | losses and gradient norms, read some steps later                                  |
| `adam`     | AdamW whose scalars may lie on the device                                         |
| `recorded` | the device's part recorded once (as a CUDA graph) and played at every later step  |
"""
