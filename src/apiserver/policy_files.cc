#include "apiserver/policy_files.h"

// clang-format off
#define KM_EMBED(NAME, FILE)                                  \
  __asm__(".section .rodata\n"                                \
          ".global km_embed_" #NAME "\n"                      \
          ".global km_embed_" #NAME "_end\n"                  \
          "km_embed_" #NAME ":\n"                             \
          ".incbin \"" KM_POLICY_DIR "/" FILE "\"\n"          \
          "km_embed_" #NAME "_end:\n"                         \
          ".byte 0\n"                                         \
          ".previous\n");                                     \
  extern "C" const char km_embed_##NAME[];                    \
  extern "C" const char km_embed_##NAME##_end[];
// clang-format on

KM_EMBED(rbac, "rbac.policy")
KM_EMBED(objects, "objects.jsonl")

namespace km::apiserver {

std::string_view rbacPolicyText() { return {km_embed_rbac, static_cast<size_t>(km_embed_rbac_end - km_embed_rbac)}; }
std::string_view bootstrapObjectLines() { return {km_embed_objects, static_cast<size_t>(km_embed_objects_end - km_embed_objects)}; }

}  // namespace km::apiserver
