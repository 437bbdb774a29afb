"""The one mutable model: cache, queue, holds, freeze()."""
