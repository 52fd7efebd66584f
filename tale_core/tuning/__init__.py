"""Internalisation (TALE-PT): fine-tune a model so that it is brief by itself, from answers that it gave.

    examples    right, complete, short answers of the store, split by question; pairs for DPO
    plan        what a training is asked to do; the paper's settings
    base        the model's own weights as transformers wants them
    training    SFT and DPO with LoRA through TRL and PEFT (torch is imported here and nowhere else)
    export      the adapter as a GGUF file for llama.cpp
    runs        a training's folder: plan, examples, state, losses, checkpoints
    job         starting, following, stopping and resuming it in a process of its own (`worker`)

Trained adapters are kept by `tale_core.models.adapters`, and answer as the strategy `tuned:NAME`.
Source: the paper, section 4.2 and appendix (arXiv 2412.18547), and its public repository for the settings.
"""
