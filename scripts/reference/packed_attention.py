"""Is the gradient of attention over packed sentences that of what it computes? Needs a GPU.

    python3 scripts/reference/packed_attention.py

Attention is linear in its values, so the output weighted with any gradient sums to what the values weighted with theirs
do; and queries and keys enter by their products alone, so both have the same sum. With dropout the first fails on torch
2.11: the backward pass leaves out other weights than the forward pass did, which is why ko-sts gives the kernel none.
Fails where a sum is wrong without dropout.
"""

import sys

import torch

HEADS, HEAD, SENTENCES, LONGEST = 4, 64, 300, 100


def sums(lengths: torch.Tensor, dtype: torch.dtype, dropout: float) -> tuple[float, ...]:
    starts = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]).int().cuda()
    longest, shape = int(lengths.max()), (1, int(lengths.sum()), HEADS, HEAD)
    query, key, value = (torch.randn(shape, device="cuda", dtype=dtype).requires_grad_() for _ in range(3))
    attend = torch.ops.aten._efficient_attention_forward
    output = attend(query, key, value, None, starts, starts, longest, longest, dropout, 0, True)[0]
    weights = torch.randn_like(output)
    output.backward(weights)
    products = [(output, weights), *((tensor, tensor.grad) for tensor in (value, query, key))]
    return tuple((a.double() * b.double()).sum().item() for a, b in products)


def main() -> int:
    wrong = 0
    torch.manual_seed(0)
    lengths = torch.randint(3, LONGEST, (SENTENCES,))
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    for dtype in (torch.float32, torch.bfloat16):
        for dropout in (0.0, 0.1):
            output, value, query, key = sums(lengths, dtype, dropout)
            print(f"{dtype}, dropout {dropout}: output {output:.2f}, values {value:.2f}; queries {query:.2f}, keys {key:.2f}")
            is_equal = abs(output - value) < 0.01 * abs(output) and abs(query - key) < 0.01 * abs(query)
            wrong += dropout == 0.0 and not is_equal
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
