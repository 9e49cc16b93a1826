// Operators of ATen that tch does not wrap. Each gives an error as text, or none where it succeeded; the text is the
// thread's own and stands until its next call.
#include <exception>
#include <string>

#include <ATen/core/Tensor.h>
#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_fused_adamw.h>

namespace {

thread_local std::string error;

template <typename Work> const char *caught(Work work) {
    try {
        work();
        return nullptr;
    } catch (const std::exception &exception) {
        error = exception.what();
    } catch (...) {
        error = "an exception of another kind";
    }
    return error.c_str();
}

} // namespace

extern "C" const char *ko_sts_packed_attention(
    at::Tensor **output, const at::Tensor *query, const at::Tensor *key, const at::Tensor *value,
    const at::Tensor *cu_seqlens, int64_t max_seqlen
) {
    return caught([&] {
        const int64_t no_mask = 0;
        const double no_dropout = 0.0; // scripts/reference/packed_attention.py says why
        auto outputs = at::_efficient_attention_forward(
            query->unsqueeze(0), key->unsqueeze(0), value->unsqueeze(0), /*bias=*/{}, *cu_seqlens, *cu_seqlens, max_seqlen,
            max_seqlen, no_dropout, no_mask, /*compute_log_sumexp=*/true
        );
        *output = new at::Tensor(std::get<0>(outputs).squeeze(0));
    });
}

extern "C" const char *ko_sts_fused_adamw(
    const at::Tensor *value, const at::Tensor *grad, const at::Tensor *exp_avg, const at::Tensor *exp_avg_sq,
    const at::Tensor *steps, double learning_rate, double beta1, double beta2, double weight_decay, double eps,
    const at::Tensor *grad_divisor
) {
    return caught([&] {
        at::_fused_adamw_(
            {*value}, {*grad}, {*exp_avg}, {*exp_avg_sq}, /*max_exp_avg_sqs=*/{}, {*steps}, learning_rate, beta1, beta2,
            weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false, *grad_divisor
        );
    });
}
