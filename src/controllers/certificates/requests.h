// What signing requests of kubelets must be like, in upstream's words. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "pki/request.h"

namespace km::controllers::certificates {

inline constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client";
inline constexpr std::string_view kKubeletClientSigner = "kubernetes.io/kube-apiserver-client-kubelet";
inline constexpr std::string_view kKubeletServingSigner = "kubernetes.io/kubelet-serving";
inline constexpr std::string_view kLegacySigner = "kubernetes.io/legacy-unknown";

Status checkKubeletClient(const pki::RequestedCertificate& request, const std::vector<std::string>& usages);
Status checkKubeletServing(const pki::RequestedCertificate& request, const std::vector<std::string>& usages);
Status checkClient(const std::vector<std::string>& usages);
// By the signer's name; of others nothing is asked.
Status checkFor(std::string_view signer, const pki::RequestedCertificate& request, const std::vector<std::string>& usages);

}  // namespace km::controllers::certificates
