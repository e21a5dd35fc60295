variable "source_image" {
  type = string
}

variable "lent" {
  type = string
}

variable "manifest" {
  type = string
}

source "docker" "web" {
  image       = var.source_image
  pull        = false
  commit      = true
  run_command = ["-d", "-i", "-t", "--systemd=always", "-v", "${var.lent}:/run/ovenbird-bake:ro", "--", "{{.Image}}", "/sbin/init"]
  changes     = ["CMD [\"/sbin/init\"]", "STOPSIGNAL SIGRTMIN+3"]
}

build {
  sources = ["source.docker.web"]

  provisioner "shell-local" {
    environment_vars = ["BUILD_ID=${build.ID}"]
    inline           = ["ansible-playbook -i hosts.yml -e ansible_host=$BUILD_ID -e @variables.json playbooks/web.yml playbooks/seal.yml"]
  }

  post-processor "manifest" {
    output = var.manifest
  }
}
