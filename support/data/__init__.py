"""Where else do batches come from?"""
