variable "disk" {
  type = string
}

variable "disk_size" {
  type = string
}

variable "boot" {
  type = string
}

variable "append" {
  type = string
}

variable "accelerator" {
  type = string
}

variable "cpu" {
  type = string
}

variable "key" {
  type = string
}

variable "lent" {
  type = string
}

variable "output" {
  type = string
}

source "qemu" "web" {
  disk_image       = true
  iso_url          = var.disk
  iso_checksum     = "none"
  disk_size        = var.disk_size
  format           = "qcow2"
  output_directory = var.output
  vm_name          = "disk.qcow2"
  accelerator      = var.accelerator
  headless         = true
  memory           = 1024
  cpus             = 2
  boot_wait        = "-1s"
  qemuargs = [
    ["-cpu", var.cpu],
    ["-kernel", "${var.boot}/vmlinuz"],
    ["-initrd", "${var.boot}/initrd.img"],
    ["-append", var.append],
  ]
  communicator         = "ssh"
  ssh_username         = "root"
  ssh_private_key_file = var.key
  ssh_timeout          = "5m"
  shutdown_command     = "systemctl poweroff"
}

build {
  sources = ["source.qemu.web"]

  provisioner "file" {
    source      = var.lent
    destination = "/run"
  }

  provisioner "shell-local" {
    environment_vars = ["PORT=${build.Port}"]
    inline           = ["ansible-playbook -i hosts.yml -e ansible_port=$PORT -e @variables.json playbooks/web.yml playbooks/seal.yml"]
  }
}
