"""Internalisation (TALE-PT): fine-tune a model so that it is brief by itself, from answers that it gave.

    examples    right, complete, short answers of the store, split by question; pairs for DPO (`data` reads them,
                `examples_file` writes them down)
    plan        what a training is asked to do; the paper's settings
    base        the model's own weights as transformers wants them
    training    SFT and DPO with LoRA through TRL and PEFT; `measuring` times it, `watching` follows it
    export      the adapter as a GGUF file for llama.cpp
    runs        a training's folder: plan, examples, state (`run_state`), losses, checkpoints
    evaluation  tuned against base on questions that were never trained on
    job         starting, following, stopping and resuming it in a process of its own (`worker`)

Importing these needs no torch: it is imported where a training runs. Trained adapters are kept by
`tale_core.models.adapters.registry`, and answer as the strategy `tuned:NAME`.
Source: the paper, section 4.2 and appendix (arXiv 2412.18547), and its public repository for the settings.
"""
